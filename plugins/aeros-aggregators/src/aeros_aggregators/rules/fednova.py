"""Averages that make up for nodes that take different numbers of steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aeros_aggregators.options import check_option
from aeros_aggregators.personal import Personal
from aeros_aggregators.reduction.update_scalars import reach
from aeros_aggregators.reduction.weighted_sum import WeightedSum
from aeros_core.messages import Update
from aeros_core.parameters import Parameters

__all__ = ["FedNova"]


class FedNova(Personal):
    """Normalised averaging: every node counts for a step, not for how many it took.

    Wang et al., Tackling the Objective Inconsistency Problem in Heterogeneous Federated
    Optimization (2020), section 5; arXiv:2007.07481: the parameters change by tau_eff
    sum_i p_i change_i / |a_i|, tau_eff being sum_i p_i |a_i| as in FedAvg (section 4). |a_i|
    is an update's reach: the number of steps of plain SGD, with momentum rho the sum over
    steps j of (1 - rho^(steps - j)) / (1 - rho).

    Args:
        server_lr: Step along the normalised change.

    Raises:
        ConfigError: ``server_lr`` is not above 0.
    """

    def __init__(self, *, server_lr: float, personal: Sequence[str]) -> None:
        super().__init__(personal=personal)
        check_option("server_lr", server_lr, server_lr > 0, "above 0")
        self._rate = server_lr
        self._sums = WeightedSum()

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the parameters after the step; without any update, ``parameters``.

        Raises:
            DataError: An update reports neither its reach nor its steps.
        """
        self._sums.begin(parameters)
        examples = reaches = 0.0
        for update in updates:
            length = reach(update, "fednova")
            self._sums.add(update, update.examples / length)
            examples += update.examples
            reaches += update.examples * length
            del update
        if not examples:
            return parameters
        effective = reaches / examples
        return self._sums.mean(examples / effective / self._rate)
