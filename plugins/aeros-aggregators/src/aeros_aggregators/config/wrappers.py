"""The options of collectors that hold rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Ema",
    "Swa",
    "Tree",
]


@dataclass
class Ema:
    """Exponential moving average of the parameters, around any rule.

    Args:
        rule: The rule, an option of the group ``collector/rule``.
        decay: Part of the average that is kept in a round, 0 to below 1.
    """

    _target_: str = "aeros_aggregators.rules.wrappers.parameter_averaging.Ema"
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

    _target_: str = "aeros_aggregators.rules.wrappers.parameter_averaging.Swa"
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

    _target_: str = "aeros_aggregators.rules.wrappers.tree.Tree"
    defaults: list[Any] = field(
        default_factory=lambda: ["_self_", {"rule": "fedavg"}, {"rule@outer": "fedavg"}]
    )
    rule: Any = "???"
    outer: Any = "???"
    groups: int = 10
