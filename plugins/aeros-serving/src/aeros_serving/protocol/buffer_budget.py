"""Bytes of requests that have not come whole: one bound for all clients of a server."""

from __future__ import annotations

from typing import Protocol

__all__ = ["PIECE", "BufferBudget", "BufferOwner"]

PIECE = 64
"""Bytes that a piece of a request costs beside what it holds."""


class BufferOwner(Protocol):
    """Keeps what has come of a request, and can let go of it."""

    def evict(self, why: str) -> None:
        """Refuse the request, and keep nothing of it."""


class BufferBudget:
    """What all requests that are still coming hold together, at most.

    Where there is none left, the one that has been coming longest is refused: who sends
    slowly, or half a request, takes no room from those who do not.

    Args:
        size: Bytes.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.held = 0
        self._holders: dict[BufferOwner, int] = {}

    def hold(self, holder: BufferOwner, size: int) -> None:
        """Note how much somebody holds now; 0: nothing any more. It may be evicted at once."""
        before = self._holders.get(holder, 0)
        if size:
            self._holders[holder] = size
        elif before:
            del self._holders[holder]
        self.held += size - before
        while self.held > self.size:
            oldest = next(iter(self._holders))
            self.hold(oldest, 0)
            oldest.evict(
                f"requests that have not come whole hold {self.size:,} bytes, which is all that"
                " is kept of them, and this one has been coming longest: send it again"
            )
