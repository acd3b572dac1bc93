"""Where a round's time goes, as the side sees it that waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from aeros_core.messages import Update

__all__ = ["WAITED", "PhaseTimer", "paused", "timed", "unpaused"]

WAITED = {"select": 0.0, "send": 0.0, "receive": 0.0}
"""Seconds spent so far drawing cohorts, handing messages over, and waiting for replies, by
this process. Nodes that work within it neither send nor wait."""

_PAUSED = {"seconds": 0.0}


def unpaused() -> float:
    """Return seconds of the monotonic clock without those for which tasks were paused.

    What deadlines are reckoned by: a pause uses none of them up.
    """
    return time.monotonic() - _PAUSED["seconds"]


@contextmanager
def paused() -> Iterator[None]:
    """Leave what passes within out of `unpaused`."""
    began = time.monotonic()
    try:
        yield
    finally:
        _PAUSED["seconds"] += time.monotonic() - began


@contextmanager
def timed(phase: str) -> Iterator[None]:
    """Add what is done within to a phase."""
    began = time.monotonic()
    try:
        yield
    finally:
        WAITED[phase] += time.monotonic() - began


class PhaseTimer:
    """What one round spends its time on, from its making on."""

    def __init__(self) -> None:
        self._before = dict(WAITED)
        self._longest = 0.0

    def hear(self, update: Update) -> None:
        """Note for how long a node says that it trained."""
        self._longest = max(self._longest, update.scalars.get("seconds", 0.0))

    def of(self, seconds: float) -> dict[str, float]:
        """Return how the seconds until the model was there were spent, by phase.

        ``work`` is the longest training that a node reported, ``receive`` the rest of the
        wait, ``aggregate`` what is left.
        """
        spent = {phase: WAITED[phase] - before for phase, before in self._before.items()}
        work = min(self._longest, spent["receive"])
        left = max(seconds - sum(spent.values()), 0.0)
        return {**spent, "work": work, "receive": spent["receive"] - work, "aggregate": left}
