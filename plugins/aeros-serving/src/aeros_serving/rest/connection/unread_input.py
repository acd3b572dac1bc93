"""Input of one connection that came, and waits to be parsed."""

from __future__ import annotations

from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl

from aeros_serving.rest.connection.read_queue import ReadQueue

__all__ = ["DENSE", "SLICE", "HeldFlow", "UnreadInput"]

SLICE = 16 * 1024
"""Bytes that are parsed at once."""


DENSE = 256
"""Pieces of a body after which the rest of it waits its turn, however little comes at once."""


class HeldFlow(FlowControl):
    """Flow control of a connection that reads no more while input waits to be parsed."""

    held = False

    def resume_reading(self) -> None:
        """Read on, unless input waits."""
        if not self.held:
            super().resume_reading()


class UnreadInput:
    """Input of one connection, parsed slice by slice (`read_queue.SlicedReader`).

    Args:
        queue: Where connections take turns.
        feed: Parses a slice.
        blocked: Whether requests that came before have to be answered first.
        emptied: Called once all is parsed.
    """

    def __init__(
        self,
        queue: ReadQueue,
        feed: Callable[[bytes], None],
        blocked: Callable[[], bool],
        emptied: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._feed, self._blocked, self._emptied = feed, blocked, emptied
        self._bytes = bytearray()
        self._queued = False

    def __len__(self) -> int:
        """Return the number of bytes that wait."""
        return len(self._bytes)

    def add(self, data: bytes) -> None:
        """Append what came."""
        self._bytes += data
        self.enqueue()

    def enqueue(self) -> None:
        """Wait for a turn, unless requests that came before have to be answered first."""
        if self._bytes and not self._queued and not self._blocked():
            self._queued = True
            self._queue.add(self)

    def clear(self) -> None:
        """Drop what waits."""
        self._bytes.clear()

    def read_slice(self) -> bool:
        """Parse the next slice; return whether there is more that may be parsed now."""
        piece = bytes(self._bytes[:SLICE])
        del self._bytes[:SLICE]
        if piece:
            self._feed(piece)
            if not self._bytes:
                self._emptied()
        self._queued = bool(self._bytes) and not self._blocked()
        return self._queued
