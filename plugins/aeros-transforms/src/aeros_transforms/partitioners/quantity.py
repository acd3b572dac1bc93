"""Clients of very different sizes."""

from __future__ import annotations

import numpy as np

from aeros_core.data import Dataset, Partition
from aeros_core.schema import Schema
from aeros_transforms.options import above, at_least
from aeros_transforms.partitioners import allocation

__all__ = ["Quantity"]


class Quantity:
    """`config.partitioners.Quantity`: shares of the shuffled rows drawn from a Dirichlet.

    Source: Q. Li, Y. Diao, Q. Chen, B. He: Federated Learning on Non-IID Data Silos: An
    Experimental Study, ICDE 2022, section on quantity skew. Clients below
    ``min_examples`` are then filled up from the largest, which the paper does not do.

    Raises:
        ConfigError: An option is out of its range.
    """

    def __init__(self, *, clients: int, alpha: float, min_examples: int) -> None:
        at_least("transformer.quantity.clients", clients, 1)
        above("transformer.quantity.alpha", alpha, 0)
        at_least("transformer.quantity.min_examples", min_examples, 1)
        self._clients, self._alpha, self._least = clients, alpha, min_examples

    def partition(self, data: Dataset, rng: np.random.Generator) -> Partition:
        """Return which rows each client holds; see `transformer.Partitioner`."""
        allocation.enough("transformer.quantity", data, self._clients, self._least)
        shares = rng.dirichlet(np.full(self._clients, self._alpha))
        sizes = allocation.apportion(shares, len(data))
        owner = rng.permutation(np.repeat(np.arange(self._clients), sizes))
        owner = allocation.repair(owner, self._clients, self._least, rng)
        return allocation.partition(owner, self._clients)

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema unchanged."""
        return schema
