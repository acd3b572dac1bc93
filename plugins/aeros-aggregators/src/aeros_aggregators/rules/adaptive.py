"""Adaptive optimizers on the server, over the mean change of the clients.

Reddi et al., Adaptive Federated Optimization (2021), algorithm 2; arXiv:2003.00295.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from aeros_aggregators.kernels.arguments import Decay
from aeros_aggregators.options import check_option
from aeros_aggregators.reduction import server_steps
from aeros_aggregators.reduction.moments import Moments
from aeros_aggregators.reduction.server_steps import ServerStep, Step
from aeros_aggregators.rules.server_optimizer import ServerOptimizer
from aeros_core.messages import State

__all__ = ["FedAdagrad", "FedAdam", "FedYogi"]


class FedAdagrad(ServerOptimizer):
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
        super().__init__("second", personal=personal)
        check_option("server_lr", server_lr, server_lr > 0, "above 0")
        check_option("tau", tau, tau > 0, "above 0")
        self._rate, self._tau = server_lr, tau

    def _step(self) -> Step:
        def step(term: ServerStep) -> None:
            server_steps.adagrad(term, self._moments.of("second", term), self._rate, self._tau)

        return step


class FedAdam(ServerOptimizer):
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
        super().__init__("first", "second", personal=personal)
        self._decay = _decay(server_lr, beta1, beta2, tau, bounded=False)
        self._rounds = 0

    def _step(self) -> Step:
        self._rounds += 1
        return _two_moments(self._moments, self._decay._replace(rate=self._corrected()))

    def _corrected(self) -> float:
        decay, power = self._decay, self._rounds + 1.0
        unbiased = math.sqrt(1.0 - math.pow(decay.beta2, power))
        return decay.rate * unbiased / (1.0 - math.pow(decay.beta1, power))

    def state(self) -> State:
        """Return ``first.<dtype>``, ``second.<dtype>`` and the number of ``rounds``."""
        return {"rounds": self._rounds, **super().state()}

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        self._rounds = int(state["rounds"])
        super().restore(state)


class FedYogi(ServerOptimizer):
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
        super().__init__("first", "second", personal=personal)
        self._decay = _decay(server_lr, beta1, beta2, tau, bounded=True)

    def _step(self) -> Step:
        return _two_moments(self._moments, self._decay)


def _decay(server_lr: float, beta1: float, beta2: float, tau: float, *, bounded: bool) -> Decay:
    check_option("server_lr", server_lr, server_lr > 0, "above 0")
    check_option("beta1", beta1, 0 <= beta1 < 1, "0 to below 1")
    check_option("beta2", beta2, 0 <= beta2 < 1, "0 to below 1")
    check_option("tau", tau, tau > 0, "above 0")
    return Decay(beta1, beta2, server_lr, tau, bounded)


def _two_moments(moments: Moments, decay: Decay) -> Step:
    def step(term: ServerStep) -> None:
        server_steps.adam(term, moments.of("first", term), moments.of("second", term), decay)

    return step
