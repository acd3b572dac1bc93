"""Rules that bear with some updates being wrong, coordinate by coordinate.

They hold every update of the round, since an order statistic has to see them together,
and take no account of the numbers of examples, which a node could lie about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aeros_aggregators.options import check_option
from aeros_aggregators.personal import Personal
from aeros_aggregators.reduction.order_statistics import trimmed_mean
from aeros_aggregators.reduction.update_matrix import UpdateMatrix
from aeros_core.messages import Update
from aeros_core.numerics import proportions
from aeros_core.parameters import Parameters

__all__ = ["Median", "TrimmedMean"]


class Median(Personal):
    """Median of every coordinate; of an even number, the mean of the middle two.

    Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates
    (2018), definition 1; arXiv:1803.01498.
    """

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the median; without any update, ``parameters``."""
        cohort = UpdateMatrix.of(parameters, updates)
        if not cohort:
            return parameters
        cut = (len(cohort) - 1) // 2
        return cohort.combine(lambda rows: trimmed_mean(rows, cut), reach=True)


class TrimmedMean(Personal):
    """Mean of every coordinate without the least and the greatest of its values.

    Yin et al. (2018), definition 2; as many values as fit into ``trim`` times the number
    of updates are left out at either end.

    Args:
        trim: Part that is left out at either end.

    Raises:
        ConfigError: ``trim`` is not within 0 to below 0.5.
    """

    def __init__(self, *, trim: float, personal: Sequence[str]) -> None:
        super().__init__(personal=personal)
        check_option("trim", trim, 0 <= trim < 0.5, "0 to below 0.5")
        self._trim = trim

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the trimmed mean; without any update, ``parameters``."""
        cohort = UpdateMatrix.of(parameters, updates)
        if not cohort:
            return parameters
        cut = proportions.at_most(self._trim, len(cohort))
        return cohort.combine(lambda rows: trimmed_mean(rows, cut), reach=True)
