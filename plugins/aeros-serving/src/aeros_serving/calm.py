"""How much a client may say without asking anything."""

from __future__ import annotations

from aeros_serving.frames import Code, Fault

__all__ = ["IDLE", "Calm"]

IDLE = 1000
"""Frames that ask nothing, between two answers or in a second, that a client may send."""

_EARNED = 10 * IDLE
"""Frames beyond these that answers may entitle it to."""


class Calm:
    """Counts frames that cost something and ask nothing: pings, settings, empty data, resets.

    Whoever reads a large answer says for each frame of it that there is room again, for the
    stream and for the connection; so each frame of content that is sent entitles to two.
    """

    def __init__(self) -> None:
        self._count = 0

    def count(self) -> None:
        """Count a frame.

        Raises:
            Fault: It is one too many.
        """
        self._count += 1
        if self._count > IDLE:
            raise Fault(Code.ENHANCE_YOUR_CALM, "too many frames that ask nothing")

    def earn(self) -> None:
        """Entitle to two frames more, for content that was sent."""
        self._count = max(self._count - 2, -_EARNED)

    def rest(self) -> None:
        """Forget what was counted; what was earned stays."""
        self._count = min(self._count, 0)
