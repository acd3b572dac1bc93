"""Rules that are linear in the updates: they hold a sum, never the updates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from aeros_aggregators.options import check_option
from aeros_aggregators.personal import Personal
from aeros_aggregators.reduction import server_steps
from aeros_aggregators.reduction.server_steps import ServerStep, Step
from aeros_aggregators.reduction.weighted_sum import WeightedSum
from aeros_aggregators.rules.server_optimizer import ServerOptimizer
from aeros_core.messages import Broadcast, Update
from aeros_core.parameters import Parameters

__all__ = ["FedAvg", "FedAvgM", "FedBN", "FedProx"]


class FedAvg(Personal):
    """Federated averaging: the mean of the updates, weighted by examples.

    McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized
    Data (2017), algorithm 1; arXiv:1602.05629.
    """

    def __init__(self, *, personal: Sequence[str]) -> None:
        super().__init__(personal=personal)
        self._sums = WeightedSum()

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the weighted mean; without any update, ``parameters``."""
        return self._sums.mean() if self._sums.take(parameters, updates) else parameters


class FedBN(FedAvg):
    """Federated averaging where each node keeps its own batch normalisation.

    Li et al., FedBN: Federated Learning on Non-IID Features via Local Batch Normalization
    (2021), section 4 and algorithm 1; arXiv:2102.07623. Statistics and the scale and shift
    after them stay on their node: nothing but what ``personal`` names by default.
    """


class FedProx(FedAvg):
    """Federated averaging of clients that are held near the global parameters.

    Li et al., Federated Optimization in Heterogeneous Networks (2020), algorithm 2;
    arXiv:1812.06127. The proximal term is the trainer's part.

    Args:
        mu: Weight of the proximal term, announced as ``proximal_mu``.

    Raises:
        ConfigError: ``mu`` is below 0.
    """

    def __init__(self, *, mu: float, personal: Sequence[str]) -> None:
        super().__init__(personal=personal)
        check_option("mu", mu, mu >= 0, "0 or more")
        self._mu = mu

    def broadcast(self, round: int) -> Broadcast:
        """Announce ``proximal_mu``."""
        return replace(super().broadcast(round), scalars={"proximal_mu": self._mu})


class FedAvgM(ServerOptimizer):
    """Federated averaging with momentum on the server.

    Hsu et al., Measuring the Effects of Non-Identical Data Distribution for Federated
    Visual Classification (2019), section 4.3; arXiv:1909.06335.

    Args:
        server_lr: Step along the momentum.
        momentum: Part of the last momentum that is kept.

    Raises:
        ConfigError: A value is out of its range.
    """

    def __init__(self, *, server_lr: float, momentum: float, personal: Sequence[str]) -> None:
        super().__init__("momentum", personal=personal)
        check_option("server_lr", server_lr, server_lr > 0, "above 0")
        check_option("momentum", momentum, 0 <= momentum < 1, "0 to below 1")
        self._rate = server_lr
        self._momentum = momentum

    def _step(self) -> Step:
        def step(term: ServerStep) -> None:
            velocity = self._moments.of("momentum", term)
            server_steps.momentum(term, velocity, self._momentum, self._rate)

        return step
