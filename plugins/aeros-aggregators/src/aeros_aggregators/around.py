"""A rule that another holds: what it tells nodes and remembers passes through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aeros_core.messages import Broadcast, State
from aeros_core.powers import SupportsBriefing, SupportsBroadcast, SupportsState
from aeros_core.roles import Collector

__all__ = ["Around", "prefixed", "under"]


class Around:
    """The half of a collector that lets everything but `aggregate` through.

    Args:
        rule: Makes the rule that is held; the ``buffer`` and ``max_staleness`` that it may have
            show here.
    """

    def __init__(self, *, rule: Callable[[], Collector]) -> None:
        self.rule = rule()
        for name in ("buffer", "max_staleness"):  # what has none must not seem to have one
            if hasattr(self.rule, name):
                setattr(self, name, getattr(self.rule, name))

    def broadcast(self, round: int) -> Broadcast:
        """Return what the rule announces, if anything."""
        rule = self.rule
        return rule.broadcast(round) if isinstance(rule, SupportsBroadcast) else Broadcast()

    def brief(self, round: int, node: str) -> Broadcast:
        """Return what the rule tells this node, if anything."""
        rule = self.rule
        return rule.brief(round, node) if isinstance(rule, SupportsBriefing) else Broadcast()

    def state(self) -> State:
        """Return the rule's state under ``rule.``."""
        return prefixed("rule.", self.rule)

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        if isinstance(self.rule, SupportsState):
            self.rule.restore(under("rule.", state))


def prefixed(prefix: str, rule: Collector) -> dict[str, Any]:
    """Return the state of a rule, if it has one, every name behind a prefix."""
    state = rule.state() if isinstance(rule, SupportsState) else {}
    return {prefix + name: value for name, value in state.items()}


def under(prefix: str, state: State) -> State:
    """Return the part of a state that is behind a prefix, without it."""
    return {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
