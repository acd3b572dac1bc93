"""The options of the group ``collector``: one dataclass each, every option with its default."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "Bulyan",
    "FedAdagrad",
    "FedAdam",
    "FedAvg",
    "FedAvgM",
    "FedExP",
    "FedProx",
    "FedYogi",
    "GeometricMedian",
    "Krum",
    "Median",
    "MultiKrum",
    "NormClip",
    "QFedAvg",
    "TrimmedMean",
]


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
class TrimmedMean:
    """Mean of every coordinate without its least and greatest values.

    Args:
        trim: Part of the updates that is left out at either end, 0 to below 0.5.
    """

    _target_: str = "aeros_aggregators.robust.TrimmedMean"
    trim: float = 0.2


@dataclass
class Krum:
    """The one update that lies closest to its neighbours.

    Args:
        byzantine: Updates that may be wrong, 0 or more; a round needs 2 f + 3 updates.
            Size it for the tail of the sampled cohort, not for the mean.
    """

    _target_: str = "aeros_aggregators.krum.Krum"
    byzantine: int = 1


@dataclass
class MultiKrum:
    """Mean of the updates that lie closest to their neighbours, weighted by examples.

    Args:
        byzantine: Updates that may be wrong, 0 or more; a round needs 2 f + 3 updates.
        keep: Updates that are averaged; 0: all but ``byzantine`` of them.
    """

    _target_: str = "aeros_aggregators.krum.MultiKrum"
    byzantine: int = 1
    keep: int = 0


@dataclass
class Bulyan:
    """Krum again and again, then of every coordinate the mean around the median.

    Args:
        byzantine: Updates that may be wrong, 0 or more; a round needs 4 f + 3 updates.
    """

    _target_: str = "aeros_aggregators.krum.Bulyan"
    byzantine: int = 1


@dataclass
class GeometricMedian:
    """The point whose summed distance to the updates is least, weighted by examples (RFA).

    Args:
        iterations: Steps of the smoothed Weiszfeld algorithm, 1 or more.
        smoothing: Distance below which an update counts no more, above 0.
    """

    _target_: str = "aeros_aggregators.geometric.GeometricMedian"
    iterations: int = 4
    smoothing: float = 1e-6


@dataclass
class NormClip:
    """Mean of the updates, each shortened where it goes too far.

    Args:
        bound: L2 length, over all floating-point parameters, that the change of one
            update may have, above 0.
    """

    _target_: str = "aeros_aggregators.lengths.NormClip"
    bound: float = 1.0


@dataclass
class FedExP:
    """FedAvg with a server step that grows where updates disagree.

    Args:
        epsilon: Added to the squared length of the mean change, 0 or more.
    """

    _target_: str = "aeros_aggregators.lengths.FedExP"
    epsilon: float = 1e-3


@dataclass
class QFedAvg:
    """FedAvg that leans towards the clients with the higher loss.

    Args:
        q: How much, 0 or more; 0 weighs all clients alike.
        client_lr: Learning rate of the clients, above 0.
    """

    _target_: str = "aeros_aggregators.lengths.QFedAvg"
    q: float = 0.1
    client_lr: float = 0.1


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
