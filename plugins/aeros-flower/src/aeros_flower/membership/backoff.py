"""How long an executor that was lost or silent is left alone."""

from __future__ import annotations

import time

__all__ = ["Backoff"]

_LEAST, _MOST = 1.0, 60.0
"""Seconds of a first rest, and of the longest where waiting for it costs little."""

_WORTH = 8
"""How often a rest may be as long as what the executor made others wait."""


class Backoff:
    """Rests that grow: as long as was waited for it, then twice as long, and so on.

    So one that never answers costs a vanishing share of the time, whatever the deadline is.
    It is kept under the executor's name, so that going and coming again ends none.
    """

    def __init__(self) -> None:
        self.strikes = 0
        self._ends = 0.0

    @property
    def over(self) -> bool:
        """Whether it may be sent something."""
        return time.monotonic() >= self._ends

    def strike(self, cost: float) -> None:
        """Note that it was lost or silent.

        Args:
            cost: Seconds that were waited for it.
        """
        first = max(cost, _LEAST)
        length = min(first * 2.0 ** min(self.strikes, 16), max(_MOST, _WORTH * first))
        self.strikes += 1
        self._ends = time.monotonic() + length

    def end(self) -> None:
        """Note that it answered in time."""
        self.strikes, self._ends = 0, 0.0
