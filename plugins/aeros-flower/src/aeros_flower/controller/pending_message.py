"""A message on its way to an executor, and who is waited for where none comes back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aeros_core.messages import Instruction
from aeros_flower.membership.assignment import Queued
from aeros_flower.membership.executors import ConnectedExecutor

__all__ = ["Sent", "alike", "awaited"]

_NAMED = 5
"""Executors that a line names, at most."""


@dataclass(slots=True)
class Sent:
    """A message on its way, and what of it is not answered yet.

    Args:
        member: Whom it was sent to.
        pending: What it asks, by client.
        nbytes: Of the replies that it asks for.
        since: When it was sent, seconds of the monotonic clock.
        late: Whether the round that it is of does not wait for it any more.
    """

    member: ConnectedExecutor
    pending: dict[str, Queued]
    nbytes: int
    since: float
    late: bool = False

    @property
    def age(self) -> float:
        """Seconds since it was sent."""
        return time.monotonic() - self.since


def awaited(sent: Iterable[Sent], queue: Sequence[Queued], missing: Sequence[str]) -> str:
    """Return in words who is waited for; empty: nobody.

    Args:
        sent: What is on its way.
        queue: What waits for an executor.
        missing: Executors that were there and are not.
    """
    waits = [one for one in sent if not one.late]
    if not waits and not queue:
        return ""
    told = (next(iter(waits[0].pending.values())) if waits else queue[0]).told
    names = sorted({one.member.name for one in waits}) or missing
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    shown = ", ".join(names[:_NAMED]) + more if names else "an executor"
    end = "" if told.deadline else "; task.deadline=SECONDS would go on without"
    return f"round {told.round} waits for {shown}, nothing came for a minute{end}"


def alike(one: Instruction, other: Instruction) -> bool:
    """Tell whether two instructions can travel in one message."""
    return (
        one.parameters is other.parameters
        and one.round == other.round
        and one.action is other.action
        and one.deadline == other.deadline
        and one.personal == other.personal
        and one.delta == other.delta
    )
