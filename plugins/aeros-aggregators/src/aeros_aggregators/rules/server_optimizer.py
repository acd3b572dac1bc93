"""What rules have in common that step along the clients' mean change, as an optimizer does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aeros_aggregators.personal import Personal
from aeros_aggregators.reduction.moments import Moments
from aeros_aggregators.reduction.server_steps import Step
from aeros_aggregators.reduction.weighted_sum import WeightedSum
from aeros_core.messages import State, Update
from aeros_core.parameters import Parameters

__all__ = ["ServerOptimizer"]


class ServerOptimizer(Personal):
    """An optimizer on the server that takes the clients' mean change for its gradient.

    Reddi et al., Adaptive Federated Optimization (2021), algorithm 1; arXiv:2003.00295.

    Args:
        moments: Names of the vectors it carries from round to round.
        personal: As in `Personal`.
    """

    def __init__(self, *moments: str, personal: Sequence[str]) -> None:
        super().__init__(personal=personal)
        self._sums = WeightedSum()
        self._moments = Moments(*moments)

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the parameters one step on; without any update, ``parameters``."""
        if not self._sums.take(parameters, updates):
            return parameters
        return self._sums.step(self._step())

    def _step(self) -> Step:
        """Return what writes the next parameters; called once in a round with updates."""
        raise NotImplementedError

    def state(self) -> State:
        """Return the moments, ``<name>.<dtype>``."""
        return self._moments.state()

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        self._moments.restore(state)
