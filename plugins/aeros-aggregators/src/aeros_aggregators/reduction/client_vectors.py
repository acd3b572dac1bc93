"""One vector for each node that has taken part, and their mean."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from aeros_aggregators.arrays.host import host
from aeros_aggregators.options import check_option
from aeros_aggregators.reduction.rows import fold
from aeros_core.arrays import Array
from aeros_core.errors import ConfigError, DataError
from aeros_core.messages import State, Update
from aeros_core.parameters import Parameters

__all__ = ["DTYPE", "ClientVectors"]

DTYPE = "float32"
"""What trainers train: the head of the vector of this dtype, as long as a drift."""

AT_ONCE = 12
"""Vectors that are folded into the sum in one pass."""


class ClientVectors:
    """What a rule remembers of every node: control variates, dual variables.

    The mean is weighted by examples, over the nodes that have taken part or, if it is
    said how many there are, over all; those that have not taken part yet count as zero,
    with the examples of the others' mean. Vectors are replaced and never changed. They
    are as long as what updates say is ``trained``, or as the whole vector.

    Args:
        clients: Number of nodes in all; 0: those that have taken part.

    Raises:
        ConfigError: ``clients`` is below 0.
    """

    def __init__(self, clients: int) -> None:
        check_option("clients", clients, clients >= 0, "0 or more")
        self._clients = clients
        self._vectors: dict[str, Array] = {}
        self._examples: dict[str, float] = {}
        self._sum: Array = np.zeros(0)
        self._mean: Array | None = None

    def of(self, node: str) -> Array | None:
        """Return the vector of a node; None before it has taken part."""
        return self._vectors.get(node)

    def put(self, rows: Iterable[tuple[str, Array, float]]) -> None:
        """Replace vectors: of these nodes, with these examples, once a round is whole.

        Raises:
            ConfigError: There are more nodes than the configuration says.
        """
        terms: list[tuple[Array, float]] = []
        for node, vector, examples in rows:
            if node in self._vectors:
                terms.append((self._vectors[node], -self._examples[node]))
            terms.append((vector, float(examples)))
            self._vectors[node], self._examples[node] = vector, float(examples)
        for first in range(0, len(terms), AT_ONCE):
            vectors, weights = zip(*terms[first : first + AT_ONCE], strict=True)
            if self._sum.size != vectors[0].size:
                self._sum = np.zeros(vectors[0].size)
            fold(self._sum, vectors, weights, fresh=False)
        self._mean = None
        self._demand_room()

    def mean(self) -> Array | None:
        """Return the mean, float32; None before any node has taken part."""
        if self._mean is None and self._vectors:
            total = sum(self._examples.values())
            absent = self._clients / len(self._vectors) if self._clients else 1.0
            self._mean = (self._sum / (total * absent)).astype(DTYPE)
        return self._mean

    def base(self, parameters: Parameters) -> Array:
        """Return the vector of the parameters whose head the variates go with.

        Raises:
            ConfigError: There is none.
        """
        vector = parameters.vectors.get(DTYPE)
        if vector is None:
            raise ConfigError(
                f"the rule corrects {DTYPE} parameters, the model has none",
                exists=", ".join(parameters.vectors),
                hint="collector=fedavg",
            )
        return host(vector, DTYPE)

    def change(self, update: Update, base: Array, scale: float) -> Array:
        """Return ``scale`` times an update's change of what is trained, a vector of its own.

        Raises:
            DataError: The state restored belongs to another model.
        """
        size = min(int(update.scalars.get("trained", base.size)), base.size)
        if self._vectors and self._sum.size != size:
            raise DataError(
                f"the collector's state has {self._sum.size} elements for each node,"
                f" the model has {size} to train",
                hint="resume with the configuration that wrote the state, or start anew",
            )
        row = host(update.parameters.vectors[DTYPE], DTYPE)[:size]
        moved: Array = row.copy() if update.delta else row - base[:size]
        moved *= np.float32(scale)
        return moved

    def _demand_room(self) -> None:
        if 0 < self._clients < len(self._vectors):
            raise ConfigError(
                f"collector.clients={self._clients}, but {len(self._vectors)} nodes took part",
                provider="aeros-aggregators",
                hint=f"collector.clients=<the number of all nodes>, {len(self._vectors)} or more",
            )

    def state(self) -> State:
        """Return ``nodes`` and their examples, all vectors behind one another, and the sum."""
        if not self._vectors:
            return {}
        return {
            "nodes": json.dumps(self._examples),
            "variates": np.concatenate(list(self._vectors.values())),
            "sum": self._sum.copy(),
        }

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        self._examples = json.loads(str(state.get("nodes", "{}")))
        self._vectors, self._mean = {}, None
        if self._examples:
            values: Any = state["variates"]
            rows = np.array(values, DTYPE).reshape(len(self._examples), -1)
            self._vectors = dict(zip(self._examples, rows, strict=True))
            self._sum = np.array(state["sum"], np.float64)
