"""A rule that another holds: what it tells nodes and remembers passes through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from aeros_core.errors import AerosError
from aeros_core.messages import Broadcast, State, Update
from aeros_core.parameters import Parameters
from aeros_core.roles.collector import (
    Collector,
    SupportsBroadcast,
    SupportsBuffer,
    SupportsPerNodeBroadcast,
    SupportsStaleness,
    SupportsWholeParameters,
)
from aeros_core.roles.stateful import SupportsState

__all__ = ["WrappedRule", "prefixed", "told_of", "under"]


class WrappedRule:
    """The half of a collector that lets everything but `aggregate` through.

    Args:
        rule: Makes the rule that is held; the ``buffer``, ``max_staleness`` and ``whole`` that
            it may have show here.

    Raises:
        ConfigError: One of the rule's options is out of its range.
    """

    def __init__(self, *, rule: Callable[[], Collector]) -> None:
        with told_of("rule"):
            self.rule = rule()
        if isinstance(self.rule, SupportsBuffer):  # what has none must not seem to have one
            self.buffer = self.rule.buffer
        if isinstance(self.rule, SupportsStaleness):
            self.max_staleness = self.rule.max_staleness
        if isinstance(self.rule, SupportsWholeParameters):
            self.whole = self.rule.whole

    def combined(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return what the rule makes of the updates; its errors name its options."""
        with told_of("rule"):
            return self.rule.aggregate(parameters, updates)

    def broadcast(self, round: int) -> Broadcast:
        """Return what the rule announces, if anything."""
        rule = self.rule
        return rule.broadcast(round) if isinstance(rule, SupportsBroadcast) else Broadcast()

    def broadcast_to(self, round: int, node: str) -> Broadcast:
        """Return what the rule tells this node, if anything."""
        rule = self.rule
        return (
            rule.broadcast_to(round, node)
            if isinstance(rule, SupportsPerNodeBroadcast)
            else Broadcast()
        )

    def state(self) -> State:
        """Return the rule's state under ``rule.``."""
        return prefixed("rule.", self.rule)

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        if isinstance(self.rule, SupportsState):
            self.rule.restore(under("rule.", state))


@contextmanager
def told_of(held: str) -> Iterator[None]:
    """Let errors of a rule that is held name its options as a user types them.

    Args:
        held: The option that holds the rule: ``collector.mu`` of a rule becomes
            ``collector.<held>.mu``.
    """
    try:
        yield
    except AerosError as error:
        for part in ("asked", "exists", "hint"):
            said = getattr(error, part).replace("collector.", f"collector.{held}.")
            setattr(error, part, said)
        raise


def prefixed(prefix: str, rule: Collector) -> dict[str, Any]:
    """Return the state of a rule, if it has one, every name behind a prefix."""
    state = rule.state() if isinstance(rule, SupportsState) else {}
    return {prefix + name: value for name, value in state.items()}


def under(prefix: str, state: State) -> State:
    """Return the part of a state that is behind a prefix, without it."""
    return {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
