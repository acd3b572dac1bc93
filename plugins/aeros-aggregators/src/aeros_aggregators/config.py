"""The options of the group ``collector``: one dataclass each, every option with its default."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FedAdagrad", "FedAdam", "FedAvg", "FedAvgM", "FedProx", "FedYogi", "Median"]


@dataclass
class FedAvg:
    """Mean of the updates, each weighted by its number of examples."""

    _target_: str = "aeros_aggregators.linear.FedAvg"


@dataclass
class FedAvgM:
    """FedAvg with momentum on the server.

    Args:
        server_lr: Step along the momentum, above 0; 1 and no momentum is FedAvg.
        momentum: Part of the last round's momentum that is kept, 0 to below 1.
    """

    _target_: str = "aeros_aggregators.linear.FedAvgM"
    server_lr: float = 1.0
    momentum: float = 0.9


@dataclass
class FedProx:
    """FedAvg that tells trainers to stay close to the global parameters.

    Args:
        mu: Weight of the proximal term ``mu/2 |w - global|^2`` in the local loss, 0 or
            more; announced as the scalar ``proximal_mu``.
    """

    _target_: str = "aeros_aggregators.linear.FedProx"
    mu: float = 0.01


@dataclass
class FedAdam:
    """Adam on the server, over the mean change of the clients.

    Args:
        server_lr: Learning rate on the server, above 0 (eta).
        beta1: Decay of the first moment, 0 to below 1.
        beta2: Decay of the second moment, 0 to below 1.
        tau: Added to the root of the second moment, above 0: the smaller, the more adaptive.
    """

    _target_: str = "aeros_aggregators.adaptive.FedAdam"
    server_lr: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3


@dataclass
class FedAdagrad:
    """Adagrad on the server, over the mean change of the clients.

    Args:
        server_lr: Learning rate on the server, above 0 (eta).
        tau: Added to the root of the summed squares, above 0: the smaller, the more adaptive.
    """

    _target_: str = "aeros_aggregators.adaptive.FedAdagrad"
    server_lr: float = 0.1
    tau: float = 1e-3


@dataclass
class FedYogi:
    """Yogi on the server, over the mean change of the clients.

    Args:
        server_lr: Learning rate on the server, above 0 (eta).
        beta1: Decay of the first moment, 0 to below 1.
        beta2: Decay of the second moment, 0 to below 1.
        tau: Added to the root of the second moment, above 0: the smaller, the more adaptive.
    """

    _target_: str = "aeros_aggregators.adaptive.FedYogi"
    server_lr: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3


@dataclass
class Median:
    """Median of every coordinate, whatever the numbers of examples."""

    _target_: str = "aeros_aggregators.robust.Median"
