"""One request and its answer within an HTTP/2 connection (RFC 9113, section 5)."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable

from aeros_serving.credit import Credit
from aeros_serving.frames import END_HEADERS, END_STREAM, Kind, frame
from aeros_serving.line import Line
from aeros_serving.peer import FRAME

__all__ = ["Stream"]


class Stream:
    """A request, and the way to answer it.

    Args:
        line: The way back to the client.
        number: Its number.
        answered: Called once all of the answer was sent.

    Attributes:
        number: Its number.
        window: Bytes that the client takes of the answer now.
        credit: Bytes that the client may send now.
        held: Whether it may send more only once what it sent was read.
        ended: Whether the request is there as a whole.
        deadline: Until when something of the request has to come, on the loop's clock.
        receive: Called with each piece of the request, and whether it was the last.
        gone: Called if the client leaves before the answer.
        late: Called when the deadline has passed.
    """

    __slots__ = (
        "_answered", "_done", "_free", "_line", "_out", "_seen", "_sent", "_since", "credit",
        "deadline", "ended", "gone", "held", "late", "number", "receive", "window",
    )  # fmt: skip

    def __init__(self, line: Line, number: int, answered: Callable[[Stream], None]) -> None:
        self._line, self.number, self._answered = line, number, answered
        self.window, self.credit = line.peer.initial, Credit()
        self._out: deque[tuple[Kind, memoryview]] = deque()
        self._done = False
        self._sent, self._seen, self._since = 0, -FRAME, 0.0
        self._free: asyncio.Event | None = None
        self.ended = self.held = False
        self.deadline = math.inf
        self.receive: Callable[[bytes, bool], None] = _ignore
        self.gone: Callable[[], None] | None = None
        self.late: Callable[[], None] = _nothing

    def take(self, data: bytes, ended: bool) -> None:
        """Hand on a piece of the request."""
        self.ended = ended
        self.receive(data, ended)

    def grant(self) -> None:
        """Let the client send as much again as was read, if it is worth a frame."""
        if not self.ended and not self._done:
            self._line.more(self.number, self.credit.renew())

    def leave(self) -> None:
        """Tell that the client has left."""
        self._done = True
        self._out.clear()
        if self._free is not None:
            self._free.set()
        if self.gone is not None:
            self.gone()

    def answer(self, head: bytes, content: bytes, trailers: bytes) -> None:
        """Send a whole answer, in one piece where the client has room for it.

        Args:
            head: Block of its headers.
            content: What is between; empty: headers alone, without trailers.
            trailers: Block of its trailers.
        """
        line, size, number = self._line, len(content), self.number
        if self._done:
            return
        room = min(self.window, line.window, line.piece)
        if self._out or line.full or size > room:
            self.send(head, content)
            self.finish(trailers)
            return
        self.window -= size
        parts = frame(Kind.HEADERS, END_HEADERS, number, head)
        parts += frame(Kind.DATA, 0, number, content)
        parts += frame(Kind.HEADERS, END_HEADERS | END_STREAM, number, trailers)
        line.write(parts, size)
        self._end()

    def send(self, head: bytes, content: bytes) -> None:
        """Send a part of an answer, with its headers before the first."""
        if self._done:
            return
        if head:
            self._line.write(frame(Kind.HEADERS, END_HEADERS, self.number, head))
        if content:
            self._out.append((Kind.DATA, memoryview(content)))
            self.flush()

    def finish(self, trailers: bytes) -> None:
        """End an answer, once all of it is sent."""
        if not self._done:
            self._out.append((Kind.HEADERS, memoryview(trailers)))
            self.flush()

    async def drained(self) -> None:
        """Wait until the client has taken what was sent so far, or has left."""
        while self._out and not self._done:
            self._free = asyncio.Event()
            await self._free.wait()

    def stuck(self, now: float) -> float:
        """Return for how many seconds an answer that waits has been taken by less than a frame.

        Args:
            now: Time of the loop; it is asked again and again.
        """
        if not self._out or self._sent - self._seen >= FRAME:
            self._seen, self._since = self._sent, now
        return now - self._since

    def flush(self) -> None:
        """Send what the client has room for."""
        line = self._line
        while self._out and not line.full:
            kind, content = self._out[0]
            if kind is Kind.HEADERS:
                self._out.clear()
                line.write(frame(kind, END_HEADERS | END_STREAM, self.number, bytes(content)))
                self._end()
                return
            size = min(len(content), self.window, line.window, line.piece)
            if size <= 0:
                return
            self.window -= size
            self._sent += size
            line.write(frame(kind, 0, self.number, bytes(content[:size])), size)
            if size == len(content):
                self._out.popleft()
            else:
                self._out[0] = (kind, content[size:])
        if self._free is not None and not self._out:
            self._free.set()

    def _end(self) -> None:
        self._done = True
        self.gone = None
        self.deadline = math.inf
        self._answered(self)


def _ignore(_data: bytes, _ended: bool) -> None:
    """Take no notice of what comes for a request that was refused."""


def _nothing() -> None:
    """Do nothing when time is over."""
