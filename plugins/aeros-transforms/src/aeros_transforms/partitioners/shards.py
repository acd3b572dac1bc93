"""Pathological label skew: a few shards of the sorted data for each client."""

from __future__ import annotations

import numpy as np

from aeros_core.data import Dataset, Partition
from aeros_core.errors import ConfigError
from aeros_core.schema import Schema
from aeros_transforms.options import at_least
from aeros_transforms.partitioners import allocation

__all__ = ["Shards"]


class Shards:
    """`config.partitioners.Shards`: shards' sizes differ by one at most.

    Source: H. B. McMahan et al.: Communication-Efficient Learning of Deep Networks from
    Decentralized Data, AISTATS 2017, section 3 (MNIST, non-IID). Rows of one label are
    shuffled before they are cut.

    Raises:
        ConfigError: An option is out of its range.
    """

    def __init__(self, *, clients: int, shards_per_client: int) -> None:
        at_least("transformer.shards.clients", clients, 1)
        at_least("transformer.shards.shards_per_client", shards_per_client, 1)
        self._clients, self._each = clients, shards_per_client

    def partition(self, data: Dataset, rng: np.random.Generator) -> Partition:
        """Return which rows each client holds; see `transformer.Partitioner`."""
        shards = self._clients * self._each
        if shards > len(data):
            raise ConfigError(
                f"transformer.shards: {self._clients} clients of {self._each} shards need"
                f" {shards} examples: a shard would be empty",
                exists=f"{len(data)} examples",
                hint=f"transformer.shards.clients={len(data) // self._each}",
            )
        column = allocation.labels("transformer.shards", data)
        order = rng.permutation(len(data))
        order = order[np.argsort(column[order], kind="stable")]
        dealt = rng.permutation(allocation.cut(shards, self._clients))
        owner = np.empty(len(data), dtype=np.int64)
        owner[order] = dealt[allocation.cut(len(data), shards)]
        return allocation.partition(owner, self._clients)

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema unchanged."""
        return schema
