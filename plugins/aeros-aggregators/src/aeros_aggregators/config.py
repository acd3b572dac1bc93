"""The options of the group ``collector``: one dataclass each, every option with its default."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = [
    "Bulyan",
    "CentredClip",
    "Ema",
    "FedAdagrad",
    "FedAdam",
    "FedAsync",
    "FedAvg",
    "FedAvgM",
    "FedBN",
    "FedBuff",
    "FedDyn",
    "FedExP",
    "FedNova",
    "FedProx",
    "FedYogi",
    "GeometricMedian",
    "Krum",
    "Median",
    "MultiKrum",
    "NormClip",
    "QFedAvg",
    "Rule",
    "Scaffold",
    "Staleness",
    "Swa",
    "Tree",
    "TrimmedMean",
]


@dataclass
class Rule:
    """What every rule takes.

    Args:
        personal: Patterns (``*``, ``?``) of the names of tensors that stay on their node:
            it keeps its own values, and the rule has no part in them.
    """

    _target_: str = ""
    personal: list[str] = field(default_factory=list)


@dataclass
class FedAvg(Rule):
    """Mean of the updates, each weighted by its number of examples."""

    _target_: str = "aeros_aggregators.linear.FedAvg"


@dataclass
class FedBN(Rule):
    """FedAvg where each node keeps its own batch normalisation.

    Args:
        personal: Patterns of the names of tensors that stay on their node; by default
            statistics, and tensors whose names tell of a normalisation.
    """

    _target_: str = "aeros_aggregators.linear.FedBN"
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
class Scaffold(Rule):
    """Corrects each node's gradient by how it differs from the others' (control variates).

    Keeps a model for every node that has taken part, in memory and in the state.

    Args:
        server_lr: Step along the mean change, above 0 (eta_g).
        clients: Number of nodes in all; 0: those that have taken part so far.
    """

    _target_: str = "aeros_aggregators.drift.Scaffold"
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

    _target_: str = "aeros_aggregators.drift.FedDyn"
    alpha: float = 0.1
    clients: int = 0


@dataclass
class FedNova(Rule):
    """FedAvg where a node counts for its direction, not for how many steps it took.

    Args:
        server_lr: Step along the normalised change, above 0.
    """

    _target_: str = "aeros_aggregators.nova.FedNova"
    server_lr: float = 1.0


@dataclass
class CentredClip(Rule):
    """Mean of the updates, each held near where the last rounds went.

    Args:
        tau: L2 distance, over all floating-point parameters, from the last change beyond
            which an update is shortened, above 0.
        iterations: Passes over the updates, 1 or more; one holds none of them.
        momentum: Part of the last change that is kept, 0 to below 1.
    """

    _target_: str = "aeros_aggregators.clipping.CentredClip"
    tau: float = 1.0
    iterations: int = 1
    momentum: float = 0.0


@dataclass
class FedBuff(Rule):
    """Asynchronous: a step for every few updates, however old.

    Args:
        buffer: Updates that make a step, 1 or more.
        max_staleness: Steps of the server behind which an update is refused, 0 or more.
        server_lr: Step along the mean change, above 0.
    """

    _target_: str = "aeros_aggregators.stale.FedBuff"
    buffer: int = 10
    max_staleness: int = 20
    server_lr: float = 1.0


class Staleness(Enum):
    """How an asynchronous update's part falls with its staleness."""

    constant = "constant"
    polynomial = "polynomial"
    hinge = "hinge"


@dataclass
class FedAsync(Rule):
    """Asynchronous: every update is mixed in as it comes.

    Args:
        alpha: Part of a fresh update that is taken, above 0, up to 1.
        staleness: How it falls with staleness s: constant; polynomial, (1 + s)^-a; hinge,
            flat up to b, then 1 / (a (s - b) + 1).
        a: Exponent of polynomial, slope of hinge, 0 or more.
        b: Staleness up to which hinge is flat, 0 or more.
        mu: Weight of the trainers' proximal term, 0 or more; announced as ``proximal_mu``.
    """

    _target_: str = "aeros_aggregators.stale.FedAsync"
    alpha: float = 0.6
    staleness: Staleness = Staleness.polynomial
    a: float = 0.5
    b: float = 4.0
    mu: float = 0.0


@dataclass
class Ema:
    """Exponential moving average of the parameters, around any rule.

    Args:
        rule: The rule, an option of the group ``collector/rule``.
        decay: Part of the average that is kept in a round, 0 to below 1.
    """

    _target_: str = "aeros_aggregators.averaging.Ema"
    defaults: list[Any] = field(default_factory=lambda: ["_self_", {"rule": "fedavg"}])
    rule: Any = "???"
    decay: float = 0.9


@dataclass
class Swa:
    """Mean of the parameters of late rounds, around any rule.

    Args:
        rule: The rule, an option of the group ``collector/rule``.
        start: The first round that counts, 1 or more.
        every: Rounds from one that counts to the next, 1 or more.
    """

    _target_: str = "aeros_aggregators.averaging.Swa"
    defaults: list[Any] = field(default_factory=lambda: ["_self_", {"rule": "fedavg"}])
    rule: Any = "???"
    start: int = 1
    every: int = 1


@dataclass
class Tree:
    """Groups of nodes with a collector each, under a parent: a hierarchy, simulated.

    Args:
        rule: The rule of each group, an option of the group ``collector/rule``.
        outer: The rule of the parent, as ``collector/rule@collector.outer=<option>``.
        groups: Number of groups, 1 or more; a node's group is drawn from its name.
    """

    _target_: str = "aeros_aggregators.tree.Tree"
    defaults: list[Any] = field(
        default_factory=lambda: ["_self_", {"rule": "fedavg"}, {"rule@outer": "fedavg"}]
    )
    rule: Any = "???"
    outer: Any = "???"
    groups: int = 10


@dataclass
class FedAvgM(Rule):
    """FedAvg with momentum on the server.

    Args:
        server_lr: Step along the momentum, above 0; 1 and no momentum is FedAvg.
        momentum: Part of the last round's momentum that is kept, 0 to below 1.
    """

    _target_: str = "aeros_aggregators.linear.FedAvgM"
    server_lr: float = 1.0
    momentum: float = 0.9


@dataclass
class FedProx(Rule):
    """FedAvg that tells trainers to stay close to the global parameters.

    Args:
        mu: Weight of the proximal term ``mu/2 |w - global|^2`` in the local loss, 0 or
            more; announced as the scalar ``proximal_mu``.
    """

    _target_: str = "aeros_aggregators.linear.FedProx"
    mu: float = 0.01


@dataclass
class FedAdam(Rule):
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
class FedAdagrad(Rule):
    """Adagrad on the server, over the mean change of the clients.

    Args:
        server_lr: Learning rate on the server, above 0 (eta).
        tau: Added to the root of the summed squares, above 0: the smaller, the more adaptive.
    """

    _target_: str = "aeros_aggregators.adaptive.FedAdagrad"
    server_lr: float = 0.1
    tau: float = 1e-3


@dataclass
class TrimmedMean(Rule):
    """Mean of every coordinate without its least and greatest values.

    Args:
        trim: Part of the updates that is left out at either end, 0 to below 0.5.
    """

    _target_: str = "aeros_aggregators.robust.TrimmedMean"
    trim: float = 0.2


@dataclass
class Krum(Rule):
    """The one update that lies closest to its neighbours.

    Args:
        byzantine: Updates that may be wrong, 0 or more; a round needs 2 f + 3 updates.
            Size it for the tail of the sampled cohort, not for the mean.
    """

    _target_: str = "aeros_aggregators.krum.Krum"
    byzantine: int = 1


@dataclass
class MultiKrum(Krum):
    """Mean of the updates that lie closest to their neighbours, weighted by examples.

    Args:
        keep: Updates that are averaged; 0: all but ``byzantine`` of them.
    """

    _target_: str = "aeros_aggregators.krum.MultiKrum"
    keep: int = 0


@dataclass
class Bulyan(Rule):
    """Krum again and again, then of every coordinate the mean around the median.

    Args:
        byzantine: Updates that may be wrong, 0 or more; a round needs 4 f + 3 updates.
    """

    _target_: str = "aeros_aggregators.krum.Bulyan"
    byzantine: int = 1


@dataclass
class GeometricMedian(Rule):
    """The point whose summed distance to the updates is least, weighted by examples (RFA).

    Args:
        iterations: Steps of the smoothed Weiszfeld algorithm, 1 or more.
        smoothing: Distance below which an update counts no more, above 0.
    """

    _target_: str = "aeros_aggregators.geometric.GeometricMedian"
    iterations: int = 4
    smoothing: float = 1e-6


@dataclass
class NormClip(Rule):
    """Mean of the updates, each shortened where it goes too far.

    Args:
        bound: L2 length, over all floating-point parameters, that the change of one
            update may have, above 0.
    """

    _target_: str = "aeros_aggregators.lengths.NormClip"
    bound: float = 1.0


@dataclass
class FedExP(Rule):
    """FedAvg with a server step that grows where updates disagree.

    Args:
        epsilon: Added to the squared length of the mean change, 0 or more.
    """

    _target_: str = "aeros_aggregators.lengths.FedExP"
    epsilon: float = 1e-3


@dataclass
class QFedAvg(Rule):
    """FedAvg that leans towards the clients with the higher loss.

    Args:
        q: How much, 0 or more; 0 weighs all clients alike.
        client_lr: Learning rate of the clients, above 0.
    """

    _target_: str = "aeros_aggregators.lengths.QFedAvg"
    q: float = 0.1
    client_lr: float = 0.1


@dataclass
class FedYogi(FedAdam):
    """Yogi on the server, over the mean change of the clients; its options are Adam's."""

    _target_: str = "aeros_aggregators.adaptive.FedYogi"
    server_lr: float = 0.01


@dataclass
class Median(Rule):
    """Median of every coordinate, whatever the numbers of examples."""

    _target_: str = "aeros_aggregators.robust.Median"
