"""Parse large and costly input of many connections in turn, a little at a time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Protocol

__all__ = ["ReadQueue", "SlicedReader"]

BUDGET = 0.001
"""Seconds of one turn of the event loop that are spent on connections in the queue."""


class SlicedReader(Protocol):
    """A connection with input that is not parsed yet."""

    def read_slice(self) -> bool:
        """Parse the next piece of the input; return whether there is more."""


class ReadQueue:
    """Connections with input to parse, in turn.

    Chunks of one byte take a hundred times the processor time of a body that comes whole. All
    connections together get `BUDGET` of each turn of the event loop; small requests of others
    are parsed at once, and are answered between two turns.

    Args:
        loop: The event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[SlicedReader] = deque()
        self._scheduled = False

    def add(self, reader: SlicedReader) -> None:
        """Put a connection at the end of the queue; it must not be in it."""
        self._waiting.append(reader)
        self._schedule()

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        until = time.monotonic() + BUDGET
        while self._waiting:
            reader = self._waiting.popleft()
            if reader.read_slice():
                self._waiting.append(reader)
            if time.monotonic() >= until:
                break
        self._schedule()
