"""Rules that choose among whole updates by how close they lie to one another.

Distances are taken over all floating-point parameters; integers go along with the
updates that are chosen. The number of examples counts only where chosen updates are
averaged.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np

from aeros_aggregators.arrays.host import is_real
from aeros_aggregators.options import check_option
from aeros_aggregators.personal import Personal
from aeros_aggregators.reduction import distances
from aeros_aggregators.reduction.order_statistics import nearest
from aeros_aggregators.reduction.update_matrix import UpdateMatrix
from aeros_aggregators.reduction.weighted_sum import WeightedSum
from aeros_core.arrays import Array
from aeros_core.errors import TaskError
from aeros_core.messages import Update
from aeros_core.parameters import Parameters

__all__ = ["Bulyan", "Krum", "MultiKrum"]


class _Choosing(Personal, ABC):
    """What the three have in common: a number of liars, and the updates that it takes.

    Args:
        byzantine: How many updates may be wrong, f.

    Raises:
        ConfigError: ``byzantine`` is below 0.
    """

    for_each_liar = 2

    def __init__(self, *, byzantine: int, personal: Sequence[str]) -> None:
        super().__init__(personal=personal)
        check_option("byzantine", byzantine, byzantine >= 0, "0 or more")
        self._byzantine = byzantine

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return what the rule makes of the updates; without any update, ``parameters``.

        Raises:
            TaskError: There are fewer than 2 f + 3 updates; for Bulyan, 4 f + 3.
        """
        cohort = UpdateMatrix.of(parameters, updates)
        if not cohort:
            return parameters
        _demand_updates(cohort, self._byzantine, self.for_each_liar * self._byzantine + 3)
        return self._combine(cohort)

    @abstractmethod
    def _combine(self, cohort: UpdateMatrix) -> Parameters: ...


class Krum(_Choosing):
    """The update with the least sum of squared distances to its n - f - 2 neighbours.

    Blanchard et al., Machine Learning with Adversaries: Byzantine Tolerant Gradient
    Descent (2017), section 4. Of equals, the first.

    Args:
        byzantine: How many updates may be wrong, f.

    Raises:
        ConfigError: ``byzantine`` is below 0.
    """

    def _combine(self, cohort: UpdateMatrix) -> Parameters:
        chosen = cohort.only(_ranked(cohort, self._byzantine)[:1])
        return chosen.combine(lambda rows: rows[0].copy())


class MultiKrum(_Choosing):
    """Mean of the updates with the least Krum scores, weighted by examples.

    Blanchard et al. (2017), section 4, where it has equal weights.

    Args:
        byzantine: How many updates may be wrong, f.
        keep: How many are averaged; 0: n - f.

    Raises:
        ConfigError: A value is below 0.
    """

    def __init__(self, *, byzantine: int, keep: int, personal: Sequence[str]) -> None:
        super().__init__(byzantine=byzantine, personal=personal)
        check_option("keep", keep, keep >= 0, "0 or more")
        self._keep = keep
        self._sums = WeightedSum()

    def _combine(self, cohort: UpdateMatrix) -> Parameters:
        keep = self._keep or len(cohort) - self._byzantine
        chosen = cohort.only(_ranked(cohort, self._byzantine)[:keep])
        self._sums.take(cohort.parameters, chosen.updates)
        return self._sums.mean()


class Bulyan(_Choosing):
    """Krum without putting back, then per coordinate the mean of those near the median.

    El Mhamdi et al., The Hidden Vulnerability of Distributed Learning in Byzantium (2018),
    section 4; arXiv:1802.07927. Of n updates, Krum chooses n - 2 f one after the other,
    scores taken anew among those that are left, as in the paper and in flwr's
    ``server.strategy``; flwr's ``serverapp.strategy`` chooses all by one set of scores.
    Of each coordinate, the n - 4 f values closest to the median are averaged.

    Args:
        byzantine: How many updates may be wrong, f.

    Raises:
        ConfigError: ``byzantine`` is below 0.
    """

    for_each_liar = 4

    def _combine(self, cohort: UpdateMatrix) -> Parameters:
        chosen = cohort.only(self._chosen(_distances(cohort)))
        kept = len(cohort) - 4 * self._byzantine
        return chosen.combine(lambda rows: nearest(rows, kept))

    def _chosen(self, distances: Array) -> Sequence[int]:
        left = list(range(len(distances)))
        chosen: list[int] = []
        while len(chosen) < len(distances) - 2 * self._byzantine:
            best = int(np.argmin(_scores(distances[np.ix_(left, left)], self._byzantine)))
            chosen.append(left.pop(best))
        return chosen


def _ranked(cohort: UpdateMatrix, byzantine: int) -> Sequence[int]:
    """Return the places of the updates, the one with the least score first."""
    scores = _scores(_distances(cohort), byzantine)
    return [int(place) for place in np.argsort(scores, kind="stable")]


def _distances(cohort: UpdateMatrix) -> Array:
    result = np.zeros((len(cohort), len(cohort)))
    for dtype in cohort.parameters.vectors:
        if is_real(dtype):
            result += distances.pairs(cohort.reach(dtype))
    return result


def _scores(distances: Array, byzantine: int) -> Array:
    """Return each update's sum of squared distances to its n - f - 2 closest."""
    neighbours = max(1, len(distances) - byzantine - 2)
    closest: Array = np.sort(distances, axis=1)[:, 1 : neighbours + 1]  # the first is itself
    scores: Array = closest.sum(axis=1)
    return scores


def _demand_updates(cohort: UpdateMatrix, byzantine: int, needed: int) -> None:
    if len(cohort) < needed:
        raise TaskError(
            f"collector.byzantine={byzantine} needs {needed} updates in a round,"
            f" this one has {len(cohort)}",
            provider="aeros-aggregators",
            hint=f"task.quorum={needed} with more nodes a round, or less collector.byzantine",
        )
