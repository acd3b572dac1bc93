"""The options of rules that go by a mean of the updates."""

from __future__ import annotations

from dataclasses import dataclass, field

from aeros_aggregators.config.rule import Rule

__all__ = [
    "FedAdagrad",
    "FedAdam",
    "FedAvg",
    "FedAvgM",
    "FedBN",
    "FedDyn",
    "FedExP",
    "FedNova",
    "FedProx",
    "FedYogi",
    "QFedAvg",
    "Scaffold",
]


@dataclass
class FedAvg(Rule):
    """Mean of the updates, each weighted by its number of examples."""

    _target_: str = "aeros_aggregators.rules.fedavg.FedAvg"


@dataclass
class FedBN(Rule):
    """FedAvg where each node keeps its own batch normalisation.

    Args:
        personal: Patterns of the names of tensors that stay on their node; by default
            statistics, and tensors whose names tell of a normalisation.
    """

    _target_: str = "aeros_aggregators.rules.fedavg.FedBN"
    personal: list[str] = field(
        default_factory=lambda: [
            "*bn*",
            "*norm*",
            "*running_mean",
            "*running_var",
            "*num_batches_tracked",
        ]
    )


@dataclass
class FedProx(Rule):
    """FedAvg that tells trainers to stay close to the global parameters.

    Args:
        mu: Weight of the proximal term ``mu/2 |w - global|^2`` in the local loss, 0 or
            more; announced as the scalar ``proximal_mu``.
    """

    _target_: str = "aeros_aggregators.rules.fedavg.FedProx"
    mu: float = 0.01


@dataclass
class FedAvgM(Rule):
    """FedAvg with momentum on the server.

    Args:
        server_lr: Step along the momentum, above 0; 1 and no momentum is FedAvg.
        momentum: Part of the last round's momentum that is kept, 0 to below 1.
    """

    _target_: str = "aeros_aggregators.rules.fedavg.FedAvgM"
    server_lr: float = 1.0
    momentum: float = 0.9


@dataclass
class FedAdagrad(Rule):
    """Adagrad on the server, over the mean change of the clients.

    Args:
        server_lr: Learning rate on the server, above 0 (eta).
        tau: Added to the root of the summed squares, above 0: the smaller, the more adaptive.
    """

    _target_: str = "aeros_aggregators.rules.adaptive.FedAdagrad"
    server_lr: float = 0.1
    tau: float = 1e-3


@dataclass
class FedAdam(Rule):
    """Adam on the server, over the mean change of the clients.

    Args:
        server_lr: Learning rate on the server, above 0 (eta).
        beta1: Decay of the first moment, 0 to below 1.
        beta2: Decay of the second moment, 0 to below 1.
        tau: Added to the root of the second moment, above 0: the smaller, the more adaptive.
    """

    _target_: str = "aeros_aggregators.rules.adaptive.FedAdam"
    server_lr: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3


@dataclass
class FedYogi(FedAdam):
    """Yogi on the server, over the mean change of the clients; its options are Adam's."""

    _target_: str = "aeros_aggregators.rules.adaptive.FedYogi"
    server_lr: float = 0.01


@dataclass
class FedExP(Rule):
    """FedAvg with a server step that grows where updates disagree.

    Args:
        epsilon: Added to the squared length of the mean change, 0 or more.
    """

    _target_: str = "aeros_aggregators.rules.norm_based.FedExP"
    epsilon: float = 1e-3


@dataclass
class FedNova(Rule):
    """FedAvg where a node counts for its direction, not for how many steps it took.

    Args:
        server_lr: Step along the normalised change, above 0.
    """

    _target_: str = "aeros_aggregators.rules.fednova.FedNova"
    server_lr: float = 1.0


@dataclass
class QFedAvg(Rule):
    """FedAvg that leans towards the clients with the higher loss.

    Args:
        q: How much, 0 or more; 0 weighs all clients alike.
        client_lr: Learning rate of the clients, above 0.
    """

    _target_: str = "aeros_aggregators.rules.norm_based.QFedAvg"
    q: float = 0.1
    client_lr: float = 0.1


@dataclass
class Scaffold(Rule):
    """Corrects each node's gradient by how it differs from the others' (control variates).

    Keeps a model for every node that has taken part, in memory and in the state.

    Args:
        server_lr: Step along the mean change, above 0 (eta_g).
        clients: Number of nodes in all; 0: those that have taken part so far.
    """

    _target_: str = "aeros_aggregators.rules.control_variates.Scaffold"
    server_lr: float = 1.0
    clients: int = 0


@dataclass
class FedDyn(Rule):
    """Corrects each node's loss so that the nodes' optima meet (dynamic regularisation).

    Keeps a model for every node that has taken part, in memory and in the state.

    Args:
        alpha: Weight of the regularisation, above 0; announced as ``proximal_mu``.
        clients: Number of nodes in all; 0: those that have taken part so far.
    """

    _target_: str = "aeros_aggregators.rules.control_variates.FedDyn"
    alpha: float = 0.1
    clients: int = 0
