"""Even, random split."""

from __future__ import annotations

import numpy as np

from aeros_core.data import Dataset, Partition
from aeros_core.schema import Schema
from aeros_transforms.options import at_least
from aeros_transforms.partitioners import allocation

__all__ = ["Iid"]


class Iid:
    """`config.partitioners.Iid`: sizes differ by one at most.

    Raises:
        ConfigError: An option is out of its range.
    """

    def __init__(self, *, clients: int) -> None:
        at_least("transformer.iid.clients", clients, 1)
        self._clients = clients

    def partition(self, data: Dataset, rng: np.random.Generator) -> Partition:
        """Return which rows each client holds; see `transformer.Partitioner`."""
        allocation.enough("transformer.iid", data, self._clients)
        owner = rng.permutation(allocation.cut(len(data), self._clients))
        return allocation.partition(owner, self._clients)

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema unchanged."""
        return schema
