"""When a worker that has ended is replaced, and when the server ends instead."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LIMIT", "LONGEST", "Restarts"]

LIMIT = 8
"""Ends in a row after which a server of which no worker serves any more ends itself; where it has
many workers, `ROUNDS` times their number."""

ROUNDS = 3
"""A version that ends all workers twice over must not end the server."""

HEALTHY = 60.0
"""Seconds that a worker has to serve before its end counts as the first again."""

FIRST, LONGEST = 0.1, 30.0
"""Seconds until the first replacement, and at most; each waits twice as long as the one before."""


@dataclass(slots=True)
class Restarts:
    """Counts how often workers ended soon after their start, of all workers together.

    Args:
        workers: Their number.
    """

    workers: int = 1
    in_row: int = 0

    def delay(self, served: float) -> float:
        """Count an end and return the seconds until the replacement.

        Args:
            served: Seconds that the worker had served; 0: it never did.
        """
        self.in_row = 1 if served >= HEALTHY else self.in_row + 1
        return float(min(FIRST * 2 ** (self.in_row - 1), LONGEST))

    @property
    def hopeless(self) -> bool:
        """Whether replacements end so soon, and so often, that further ones would too."""
        return self.in_row >= max(LIMIT, ROUNDS * self.workers)
