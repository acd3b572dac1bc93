"""The options of rules for updates that come one by one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from aeros_aggregators.config.rule import Rule

__all__ = [
    "FedAsync",
    "FedBuff",
    "Staleness",
]


class Staleness(Enum):
    """How an asynchronous update's part falls with its staleness."""

    constant = "constant"
    polynomial = "polynomial"
    hinge = "hinge"


@dataclass
class FedBuff(Rule):
    """Asynchronous: a step for every few updates, however old.

    Args:
        buffer: Updates that make a step, 1 or more.
        max_staleness: Steps of the server behind which an update is refused, 0 or more.
        server_lr: Step along the mean change, above 0.
    """

    _target_: str = "aeros_aggregators.rules.asynchronous.FedBuff"
    buffer: int = 10
    max_staleness: int = 20
    server_lr: float = 1.0


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

    _target_: str = "aeros_aggregators.rules.asynchronous.FedAsync"
    alpha: float = 0.6
    staleness: Staleness = Staleness.polynomial
    a: float = 0.5
    b: float = 4.0
    mu: float = 0.0
