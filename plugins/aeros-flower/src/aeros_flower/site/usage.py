"""How much was worked for a controller lately, as the site's log has it.

A controller names its tasks and can prepare an executor as often as it likes, so neither is
what is counted by: that is the executor and the controller's address, which the site chose. As
the count comes from the log, it outlives the executor and its connections.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from aeros_core.errors import ConfigError
from aeros_flower.site import log

__all__ = ["BEGUN", "DONE", "STARTED", "Usage"]

STARTED, BEGUN, DONE = "started", "begun", "done"
"""Events of the log: an executor started; work began, of so many rounds; it took so long."""

_AGAIN = (STARTED, BEGUN)
"""What follows work that was never done."""


class Usage:
    """Rounds and seconds of work within the last hours.

    Args:
        hours: How many.
    """

    def __init__(self, hours: float) -> None:
        self._span = hours * 3600.0
        self._rounds: dict[str, deque[tuple[float, float]]] = {}
        self._seconds: deque[tuple[float, float]] = deque()

    @classmethod
    def of_log(cls, path: Path, hours: float, executor: str, address: str) -> Usage:
        """Return what a log has of the last hours.

        Work that was never done, as where the executor was killed, lasted until the executor
        was heard of again.

        Args:
            path: The log; it may be missing.
            hours: How many.
            executor: Name of the executor.
            address: That of the controller.
        """
        made = cls(hours)
        with suppress(ConfigError):
            lines = (line for line in log.read(path) if line and line.get("executor") == executor)
            made._take(lines, address)
        return made

    def _take(self, lines: Iterable[Mapping[str, Any]], address: str) -> None:
        began: float | None = None
        for line in lines:
            at, event, here = _seconds_of(line.get("time")), line.get("event"), line.get("address")
            if event == DONE and here == address:
                self.add_seconds(_number(line.get("seconds")), at)
            elif event in _AGAIN and began is not None:
                self.add_seconds(max(at - began, 0.0), began)
            if event in (*_AGAIN, DONE):
                began = at if event == BEGUN and here == address else None
            if event == BEGUN and here == address:
                self.add_rounds(str(line.get("action")), _number(line.get("rounds")), at)

    def add_rounds(self, action: str, rounds: float, at: float | None = None) -> None:
        """Count rounds, or parts of one, in which clients were asked for something."""
        found = self._rounds.setdefault(action, deque())
        found.append((time.time() if at is None else at, rounds))

    def add_seconds(self, seconds: float, at: float | None = None) -> None:
        """Count seconds of work."""
        self._seconds.append((time.time() if at is None else at, seconds))

    def rounds(self, action: str) -> float:
        """Return the rounds of an action that are counted now."""
        return self._sum(self._rounds.get(action, deque()))

    @property
    def seconds(self) -> float:
        """The seconds of work that are counted now."""
        return self._sum(self._seconds)

    def _sum(self, entries: deque[tuple[float, float]]) -> float:
        oldest = time.time() - self._span
        while entries and entries[0][0] < oldest:
            entries.popleft()
        return sum(amount for _, amount in entries)


def _seconds_of(told: Any) -> float:
    try:
        return datetime.fromisoformat(str(told)).timestamp()
    except ValueError:
        return time.time()


def _number(told: Any) -> float:
    return float(told) if isinstance(told, int | float) else 0.0
