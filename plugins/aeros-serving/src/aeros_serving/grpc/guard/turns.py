"""Turns of the event loop, shared among connections with bytes to read."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

__all__ = ["Turns"]

QUANTUM, TURN = 256, 512
"""Units that one connection, and all together, may spend in one turn: about a millisecond."""

BREAK = 0.002
"""Seconds for the rest of the event loop after a turn that was spent: gRPC needs some iterations of
it for each call."""

CALLS = 16
"""Calls that may wait in grpc-core for a handler, of all connections."""

LOST = 0.005
"""Seconds after which such calls are taken for lost if none reaches a handler."""


class Reader(Protocol):
    """A connection with bytes to read.

    Attributes:
        waiting: Whether bytes have come that were not read.
        blocked: Whether they wait for a call to be accepted.
    """

    waiting: bool
    blocked: bool

    @property
    def left(self) -> bool:
        """Whether the client has closed its end."""

    def read(self, units: int) -> int:
        """Pass on as many frames as the units allow; return the units that are left."""

    def abort(self) -> None:
        """Close the connection at once."""


class Turns:
    """Shares each turn of the event loop among connections with bytes to read.

    Calls are passed on while fewer than `CALLS` of them have not reached a handler: those that
    wait within grpc-core are answered in order, however many one client has begun.

    Args:
        loop: The event loop.

    Attributes:
        calls: Calls that were passed on and have not reached a handler.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Reader] = deque()
        self._blocked: deque[Reader] = deque()
        self._scheduled = self._watching = False
        self._left = TURN
        self.calls = self._accepted = 0

    def spend(self, connection: Reader) -> None:
        """Let a connection read its bytes, now or in one of the next turns."""
        if self._waiting:
            connection.waiting = True
            self._waiting.append(connection)
        else:
            self._read(connection, QUANTUM)
        self._schedule()

    def begin(self) -> None:
        """Note that a call is passed on."""
        self.calls += 1

    def accept(self) -> None:
        """Note that a call has reached a handler."""
        self.calls = max(0, self.calls - 1)
        self._accepted += 1
        if self._blocked:
            self._schedule()

    @property
    def full(self) -> bool:
        """Whether no further call may be passed on for now."""
        return self.calls >= CALLS

    def _read(self, connection: Reader, most: int) -> None:
        given = min(most, self._left)
        if given > 0:
            self._left -= given - connection.read(given)
        if connection.waiting:
            (self._blocked if connection.blocked else self._waiting).append(connection)

    def _next(self, queue: deque[Reader], most: int) -> None:
        connection = queue.popleft()
        if connection.left:
            connection.abort()
        else:
            self._read(connection, most)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled, self._left = False, TURN
        for _ in range(len(self._waiting)):
            if self._left <= 0:
                break
            self._next(self._waiting, QUANTUM)
        while self._blocked and not self.full and self._left > 0:
            self._next(self._blocked, 1)
        if self._waiting or (self._blocked and not self.full):
            self._scheduled = True
            self._loop.call_later(BREAK, self._turn)
        if self._blocked and not self._watching:
            self._watching = True
            self._loop.call_later(LOST, self._look, self._accepted)

    def _look(self, accepted: int) -> None:
        """Go on after a while in which connections waited and no call was accepted.

        Calls that grpc-core refuses by itself, or whose client is gone, never are.
        """
        self._watching = False
        if accepted == self._accepted:
            self.calls = 0
        self._turn()
