"""Bytes that a client may send before it is told that there is room again."""

from __future__ import annotations

from aeros_serving.frames import Code, Fault

__all__ = ["WINDOW", "Credit"]

WINDOW = 2**20
"""Bytes that a client may be ahead of what was read, of a request and of a connection."""


class Credit:
    """What is left of a window (RFC 9113, section 5.2)."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = WINDOW

    def spend(self, size: int) -> None:
        """Take note of what came.

        Raises:
            Fault: It is more than there is room for.
        """
        self._left -= size
        if self._left < 0:
            raise Fault(Code.FLOW_CONTROL_ERROR, "more data than the window has room for")

    def renew(self) -> int:
        """Make room for a whole window, and return how much it is; 0: not worth a frame."""
        if self._left >= WINDOW // 2:
            return 0
        more, self._left = WINDOW - self._left, WINDOW
        return more
