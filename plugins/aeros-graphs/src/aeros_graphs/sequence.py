"""Members one behind the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aeros_core.data import Batch
from aeros_graphs.graph import Graph

__all__ = ["SequenceInferencer"]


class SequenceInferencer(Graph):
    """Gives each member what the one before it answered; options as `config.Sequence`.

    Raises:
        ConfigError: There is no member.
    """

    def __init__(self, *, members: Mapping[str, Any]):
        super().__init__(members, least=1)

    def predict(self, batch: Batch) -> Batch:
        """Return what the last member answers."""
        for name in self.members:
            batch = self.asked(name, batch)
        return batch
