"""Label skew drawn from a Dirichlet distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeros_core.data import Dataset, Partition
from aeros_core.errors import ConfigError
from aeros_core.schema import Schema
from aeros_transforms.options import above, at_least
from aeros_transforms.partitioners import allocation

__all__ = ["Dirichlet"]

Owners = NDArray[np.int64]


class Dirichlet:
    """`config.partitioners.Dirichlet`: each client has a mixture of classes of its own.

    By default each class is shared out in proportions drawn from Dir(alpha) over the
    clients, and sizes differ (M. Yurochkin et al.: Bayesian Nonparametric Federated
    Learning of Neural Networks, ICML 2019, section 4). Instead of drawing again until
    nobody lacks examples, clients below ``min_examples`` are filled up from the largest.

    Balanced, each client draws a mixture from Dir(alpha p), p the part of each class in
    all data, and then an equal number of examples from it, without replacement; a class
    that runs out leaves the mixtures (T.-M. H. Hsu, H. Qi, M. Brown: Measuring the Effects
    of Non-Identical Data Distribution for Federated Visual Classification, 2019, "Synthetic
    Non-Identical Client Data"). As alpha p sums to alpha, the same alpha is more skewed
    than by default.

    Raises:
        ConfigError: An option is out of its range.
    """

    def __init__(self, *, clients: int, alpha: float, min_examples: int, balanced: bool) -> None:
        at_least("transformer.dirichlet.clients", clients, 1)
        above("transformer.dirichlet.alpha", alpha, 0)
        at_least("transformer.dirichlet.min_examples", min_examples, 1)
        self._clients, self._alpha, self._least = clients, alpha, min_examples
        self._balanced = balanced

    def partition(self, data: Dataset, rng: np.random.Generator) -> Partition:
        """Return which rows each client holds; see `transformer.Partitioner`."""
        allocation.enough("transformer.dirichlet", data, self._clients, self._least)
        column = allocation.labels("transformer.dirichlet", data)
        if column.dtype.kind == "f":
            raise ConfigError(
                f"transformer.dirichlet mixes classes, and '{data.schema.target}' is a number",
                hint="transformer=[<source>,quantity], shards, iid or by_group",
            )
        classes = np.unique(column, return_inverse=True)[1].astype(np.int64)
        owner = self._equal(classes, rng) if self._balanced else self._shared(classes, rng)
        return allocation.partition(owner, self._clients)

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema unchanged."""
        return schema

    def _shared(self, classes: Owners, rng: np.random.Generator) -> Owners:
        """Share each class out among the clients."""
        owner = np.empty(len(classes), dtype=np.int64)
        for rows in _rows(classes, rng):
            shares = rng.dirichlet(np.full(self._clients, self._alpha))
            sizes = allocation.apportion(shares, len(rows))
            owner[rows] = np.repeat(np.arange(self._clients), sizes)
        return allocation.repair(owner, self._clients, self._least, rng)

    def _equal(self, classes: Owners, rng: np.random.Generator) -> Owners:
        """Let the clients draw from their mixtures; each pass serves all or ends a class."""
        supply = _rows(classes, rng)
        left = np.array([len(rows) for rows in supply])
        mixtures = rng.dirichlet(self._alpha * left / left.sum(), size=self._clients)
        owner = np.empty(len(classes), dtype=np.int64)
        waiting = rng.permutation(allocation.cut(len(classes), self._clients))
        while len(waiting):
            wish = _draw(mixtures, left, waiting, rng)
            served = np.zeros(len(waiting), dtype=np.bool_)
            for number, rows in enumerate(supply):
                lucky = np.flatnonzero(wish == number)[: left[number]]
                end = int(left[number])
                owner[rows[end - len(lucky) : end]] = waiting[lucky]
                left[number] -= len(lucky)
                served[lucky] = True
            waiting = waiting[~served]
        return owner


def _rows(classes: Owners, rng: np.random.Generator) -> list[Owners]:
    """Return the rows of each class, shuffled."""
    order = rng.permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]
    return np.split(order, np.cumsum(np.bincount(classes))[:-1])


def _draw(
    mixtures: NDArray[np.float64], left: Owners, clients: Owners, rng: np.random.Generator
) -> Owners:
    """Return a class for each of these clients from its mixture of the classes left."""
    weights = mixtures * (left > 0)
    weights[weights.sum(axis=1) == 0] = left  # a client whose classes have all run out
    ends = np.cumsum(weights, axis=1)
    ends = ends / ends[:, -1:] + np.arange(len(weights))[:, np.newaxis]
    found = np.searchsorted(ends.ravel(), clients + rng.random(len(clients)), side="right")
    return np.asarray(np.minimum(found - clients * len(left), len(left) - 1))
