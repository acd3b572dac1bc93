"""Apply members in sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aeros_core.data import Batch
from aeros_graphs.graph import Graph, ordered

__all__ = ["SequenceInferencer"]


class SequenceInferencer(Graph):
    """Chain in which each member receives the prediction of the one before.

    The arguments are those of `config.Sequence`.

    Raises:
        ConfigError: There are no members, or ``order`` does not name each exactly once.
    """

    def __init__(self, *, members: Mapping[str, Any], order: Sequence[str]):
        super().__init__(members, least=1)
        self._order = ordered(members, order)

    def predict(self, batch: Batch) -> Batch:
        """Return the prediction of the last member."""
        for name in self._order:
            batch = self.asked(name, batch)
        return batch
