"""Adaptive optimizers on the server, over the mean change of the clients.

Reddi et al., Adaptive Federated Optimization (2021), algorithm 2; arXiv:2003.00295.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from aeros_aggregators import steps
from aeros_aggregators.kernels.arguments import Decay
from aeros_aggregators.limits import demand
from aeros_aggregators.moments import Moments
from aeros_aggregators.personal import Personal
from aeros_aggregators.steps import Term
from aeros_aggregators.sums import Sums
from aeros_core.messages import State, Update
from aeros_core.parameters import Parameters

__all__ = ["FedAdagrad", "FedAdam", "FedYogi"]


class FedAdagrad(Personal):
    """Adagrad on the server.

    Reddi et al., Adaptive Federated Optimization (2021), algorithm 2, FedAdagrad;
    arXiv:2003.00295.

    Args:
        server_lr: Learning rate, eta.
        tau: Degree of adaptivity.

    Raises:
        ConfigError: A value is out of its range.
    """

    def __init__(self, *, server_lr: float, tau: float, personal: Sequence[str]) -> None:
        super().__init__(personal=personal)
        demand("server_lr", server_lr, server_lr > 0, "above 0")
        demand("tau", tau, tau > 0, "above 0")
        self._rate, self._tau = server_lr, tau
        self._sums = Sums()
        self._moments = Moments("second")

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the parameters one step on; without any update, ``parameters``."""
        if not self._sums.take(parameters, updates):
            return parameters
        return self._sums.step(self._step)

    def _step(self, term: Term) -> None:
        steps.adagrad(term, self._moments.of("second", term), self._rate, self._tau)

    def state(self) -> State:
        """Return ``second.<dtype>``."""
        return self._moments.state()

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        self._moments.restore(state)


class FedAdam(Personal):
    """Adam on the server.

    Reddi et al., Adaptive Federated Optimization (2021), algorithm 2, FedAdam;
    arXiv:2003.00295. As in flwr, the learning rate is corrected for the moments' start at
    zero (Kingma and Ba 2015, before section 2.1), with the number of rounds plus one for
    the step; the paper leaves the correction out.

    Args:
        server_lr: Learning rate, eta.
        beta1: Decay of the first moment.
        beta2: Decay of the second moment.
        tau: Degree of adaptivity.

    Raises:
        ConfigError: A value is out of its range.
    """

    def __init__(
        self, *, server_lr: float, beta1: float, beta2: float, tau: float, personal: Sequence[str]
    ) -> None:
        super().__init__(personal=personal)
        self._decay = _decay(server_lr, beta1, beta2, tau)
        self._rounds = 0
        self._sums = Sums()
        self._moments = Moments("first", "second")

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the parameters one step on; without any update, ``parameters``."""
        if not self._sums.take(parameters, updates):
            return parameters
        self._rounds += 1
        return self._sums.step(self._step)

    def _step(self, term: Term) -> None:
        first, second = self._moments.of("first", term), self._moments.of("second", term)
        steps.adam(term, first, second, self._decay._replace(rate=self._corrected()))

    def _corrected(self) -> float:
        decay, power = self._decay, self._rounds + 1.0
        unbiased = math.sqrt(1.0 - math.pow(decay.beta2, power))
        return decay.rate * unbiased / (1.0 - math.pow(decay.beta1, power))

    def state(self) -> State:
        """Return ``first.<dtype>``, ``second.<dtype>`` and the number of ``rounds``."""
        return {"rounds": self._rounds, **self._moments.state()}

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        self._rounds = int(state["rounds"])
        self._moments.restore(state)


class FedYogi(Personal):
    """Yogi on the server: the second moment changes by the squared change at most.

    Reddi et al., Adaptive Federated Optimization (2021), algorithm 2, FedYogi;
    arXiv:2003.00295.

    Args:
        server_lr: Learning rate, eta.
        beta1: Decay of the first moment.
        beta2: Decay of the second moment.
        tau: Degree of adaptivity.

    Raises:
        ConfigError: A value is out of its range.
    """

    def __init__(
        self, *, server_lr: float, beta1: float, beta2: float, tau: float, personal: Sequence[str]
    ) -> None:
        super().__init__(personal=personal)
        self._decay = _decay(server_lr, beta1, beta2, tau)
        self._sums = Sums()
        self._moments = Moments("first", "second")

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the parameters one step on; without any update, ``parameters``."""
        if not self._sums.take(parameters, updates):
            return parameters
        return self._sums.step(self._step)

    def _step(self, term: Term) -> None:
        first, second = self._moments.of("first", term), self._moments.of("second", term)
        steps.yogi(term, first, second, self._decay)

    def state(self) -> State:
        """Return ``first.<dtype>`` and ``second.<dtype>``."""
        return self._moments.state()

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        self._moments.restore(state)


def _decay(server_lr: float, beta1: float, beta2: float, tau: float) -> Decay:
    demand("server_lr", server_lr, server_lr > 0, "above 0")
    demand("beta1", beta1, 0 <= beta1 < 1, "0 to below 1")
    demand("beta2", beta2, 0 <= beta2 < 1, "0 to below 1")
    demand("tau", tau, tau > 0, "above 0")
    return Decay(beta1, beta2, server_lr, tau)
