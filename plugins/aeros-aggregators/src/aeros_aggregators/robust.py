"""Rules that bear with some updates being wrong, coordinate by coordinate.

They hold every update of the round, since an order statistic has to see them together,
and take no account of the numbers of examples, which a node could lie about.
"""

from __future__ import annotations

from collections.abc import Iterable

from aeros_aggregators.cohort import Cohort
from aeros_aggregators.order import middle
from aeros_core.messages import Update
from aeros_core.parameters import Parameters

__all__ = ["Median"]


class Median:
    """Median of every coordinate; of an even number, the mean of the middle two.

    Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates
    (2018), definition 1; arXiv:1803.01498.
    """

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the median; without any update, ``parameters``."""
        cohort = Cohort.of(parameters, updates)
        if not cohort:
            return parameters
        cut = (len(cohort) - 1) // 2
        return cohort.combine(lambda rows: middle(rows, cut))
