"""Members one behind the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aeros_core.data import Batch
from aeros_graphs.graph import Graph, ordered

__all__ = ["SequenceInferencer"]


class SequenceInferencer(Graph):
    """Gives each member what the one before it answered; options as `store.Sequence`.

    Raises:
        ConfigError: There is no member, or the order does not name each once.
    """

    def __init__(self, *, members: Mapping[str, Any], order: Sequence[str]):
        super().__init__(members, least=1)
        self._order = ordered(members, order)

    def predict(self, batch: Batch) -> Batch:
        """Return what the last member answers."""
        for name in self._order:
            batch = self.asked(name, batch)
        return batch
