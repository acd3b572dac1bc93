"""The geometric median of whole updates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from aeros_aggregators.arrays.host import is_real
from aeros_aggregators.options import check_option
from aeros_aggregators.personal import Personal
from aeros_aggregators.reduction import distances
from aeros_aggregators.reduction.update_matrix import UpdateMatrix
from aeros_aggregators.reduction.weighted_sum import WeightedSum
from aeros_core.messages import Update
from aeros_core.parameters import Parameters

__all__ = ["GeometricMedian"]


class GeometricMedian(Personal):
    """Robust federated aggregation: the weighted geometric median of the updates.

    Pillutla et al., Robust Aggregation for Federated Learning (2022), algorithm 2;
    arXiv:1912.13445. The smoothed Weiszfeld algorithm starts from the weighted mean; each
    step is one pass over the updates. Distances are taken over all floating-point
    parameters; integers get the same weights.

    Args:
        iterations: Steps, each a weighted mean.
        smoothing: Least distance that a weight is divided by, nu.

    Raises:
        ConfigError: A value is out of its range.
    """

    def __init__(self, *, iterations: int, smoothing: float, personal: Sequence[str]) -> None:
        super().__init__(personal=personal)
        check_option("iterations", iterations, iterations >= 1, "1 or more")
        check_option("smoothing", smoothing, smoothing > 0, "above 0")
        self._iterations, self._smoothing = iterations, smoothing
        self._sums = WeightedSum()

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the geometric median; without any update, ``parameters``."""
        cohort = UpdateMatrix.of(parameters, updates)
        if not cohort:
            return parameters
        self._sums.begin(parameters)
        for update, weight in zip(cohort.updates, self._weights(cohort), strict=True):
            self._sums.add(update, weight)
        return self._sums.mean()

    def _weights(self, cohort: UpdateMatrix) -> Sequence[float]:
        """Return the weights whose mean is the point after the last step."""
        examples = np.array([float(update.examples) for update in cohort.updates])
        share = examples / examples.sum()
        vectors = [cohort.rows(dtype) for dtype in cohort.parameters.vectors if is_real(dtype)]
        weights = share
        for _ in range(self._iterations):
            squared = sum((distances.from_mean(rows, weights) for rows in vectors), 0.0 * share)
            weights = share / np.maximum(self._smoothing, np.sqrt(squared))
            weights /= weights.sum()
        return [float(weight) for weight in weights]
