"""A connection of a client, and the one to gRPC behind it: bytes go both ways as they come."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import Any, Protocol

from aeros_serving.grpc.frames import (
    HEAD,
    PREFACE,
    ClientFrames,
    Flooded,
    ServerFrames,
    Streams,
    goaway,
)
from aeros_serving.grpc.limits import GrpcLimits

__all__ = ["ClientConnection", "Shared", "Turns"]

QUANTUM, TURN = 256, 512
"""Units that one connection, and all together, may spend in one turn: about a millisecond."""

BREAK = 0.002
"""Seconds for the rest of the event loop after a turn that was spent: gRPC needs some iterations of
it for each call."""

CALLS = 16
"""Calls that may wait in grpc-core for a handler, of all connections."""

LOST = 0.005
"""Seconds after which such calls are taken for lost if none reaches a handler."""

ESTABLISHED = 1
"""State of a TCP connection with two ends (Linux, `include/net/tcp_states.h`)."""

BUFFER = 128 * 2**10
"""Bytes that wait for a slow reader, on either side, until the other side waits too."""

LINGER = 1.0
"""Seconds until a connection that is to be closed is: its client may read why."""


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
        self._waiting: deque[ClientConnection] = deque()
        self._blocked: deque[ClientConnection] = deque()
        self._scheduled = self._watching = False
        self._left = TURN
        self.calls = self._accepted = 0

    def spend(self, connection: ClientConnection) -> None:
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

    def _read(self, connection: ClientConnection, most: int) -> None:
        given = min(most, self._left)
        if given > 0:
            self._left -= given - connection.read(given)
        if connection.waiting:
            (self._blocked if connection.blocked else self._waiting).append(connection)

    def _next(self, queue: deque[ClientConnection], most: int) -> None:
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


class Owner(Protocol):
    """The listener whose connections these are."""

    def opened(self, connection: ClientConnection) -> bool:
        """Note a connection; return whether there is room for it."""

    def closed(self, connection: ClientConnection) -> None:
        """Forget a connection."""


class Shared:
    """What the connections of a listener share.

    Args:
        owner: The listener.
        path: Unix socket that gRPC listens on.
        limits: Bounds of what clients may send and hold.
    """

    def __init__(self, owner: Owner, path: str, limits: GrpcLimits) -> None:
        self.owner, self.path, self.limits = owner, path, limits
        self.loop = asyncio.get_running_loop()
        self.turns = Turns(self.loop)
        self.connecting: set[asyncio.Task[None]] = set()


class ClientConnection(asyncio.Protocol):
    """The client's side.

    Args:
        shared: What the connections of the listener share.

    Attributes:
        waiting: Whether bytes have come that were not read.
        blocked: Whether they wait for a call to be accepted.
        streams: The calls that have not ended.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._transport: Any = None
        self._grpc: GrpcConnection | None = None
        self.streams = Streams(shared.limits.budget, shared.turns, {})
        self.waiting = self.blocked = False
        self._frames = ClientFrames(self.streams, self, shared.limits.max_body)
        self._data, self._at = b"", 0
        self._connecting = self._paused = self._full = self._gone = False
        self._since = shared.loop.time()
        self._unread = self._last = False

    def late(self, now: float) -> bool:
        """Return whether the client takes too long to begin, or to read what it was sent."""
        if self._unread:
            return now > self._since + self._shared.limits.idle_timeout
        return self._grpc is None and now > self._since + self._shared.limits.read_timeout

    def end_unless_begun(self) -> None:
        """Close a connection on which no call can have been begun."""
        if self._grpc is None:
            self.abort()

    @property
    def open(self) -> bool:
        """Whether bytes may still pass to the client."""
        return not self._gone or self._last

    @property
    def left(self) -> bool:
        """Whether the client has closed its end; while nothing is read, only the system knows."""
        end = self._transport.get_extra_info("socket")
        if self._transport.is_closing() or end is None or not hasattr(socket, "TCP_INFO"):
            return bool(self._transport.is_closing())
        return bool(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != ESTABLISHED)

    @property
    def idle(self) -> bool:
        """Whether the client asks nothing."""
        return not self.streams.messages

    def connection_made(self, transport: Any) -> None:
        """Wait for the preface."""
        self._transport = transport
        transport.set_write_buffer_limits(high=BUFFER)
        if not self._shared.owner.opened(self):
            self.abort()

    def data_received(self, data: bytes) -> None:
        """Read frames, and pass them on."""
        if self._gone:
            return
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0
        if self._grpc is not None:
            if not self.waiting:
                self._shared.turns.spend(self)
        elif not self._connecting:
            self._begin()

    def _begin(self) -> None:
        """Connect to gRPC once a client has begun as clients of HTTP/2 do."""
        data, needed = self._data, len(PREFACE) + HEAD
        if data[: len(PREFACE)] != PREFACE[: len(data)] or (len(data) >= needed and self.left):
            self.abort()
        elif len(data) >= needed:
            try:
                self._frames.foresee(data, len(PREFACE))
            except Flooded as flooded:
                self.cut(str(flooded))
                return
            self._connecting = True
            self._pause()
            task = self._shared.loop.create_task(self._connect())
            self._shared.connecting.add(task)
            task.add_done_callback(self._shared.connecting.discard)

    async def _connect(self) -> None:
        connection = GrpcConnection(self)
        try:
            await self._shared.loop.create_unix_connection(lambda: connection, self._shared.path)
        except OSError:
            self.abort()
            return
        if self._gone:
            connection.transport.abort()
            return
        self._grpc, self._at = connection, len(PREFACE)
        connection.transport.write(PREFACE)
        self._shared.turns.spend(self)

    def read(self, units: int) -> int:
        """Pass on as many frames as the units allow; return the units that are left."""
        if self._gone or self._full or self._grpc is None:
            self.waiting = False
            return units
        data, begin, calls = self._data, self._at, self._shared.turns.calls
        try:
            at, units = self._frames.read(data, begin, units)
            self.blocked = units > 0 and len(data) - at >= HEAD
            self.waiting = self.blocked or (at < len(data) and units <= 0)
            if self.waiting and not begin:
                self._frames.foresee(data, at)
        except Flooded as flooded:
            self._shared.turns.calls = calls  # those of this turn are not passed on
            self.cut(str(flooded))
            return 0
        if self._gone:  # there was no room for its own message
            return units
        if at > begin:
            self._grpc.transport.write(data if at - begin == len(data) else data[begin:at])
        self._at = at
        if self.waiting or self._full:
            self._pause()
        elif self._paused:
            self._paused = False
            self._transport.resume_reading()
        return units

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def pause_grpc(self, full: bool) -> None:
        """Note whether gRPC takes no more bytes for now."""
        self._full = full
        if full:
            self._pause()
        elif not self.waiting and not self._gone:
            self._shared.turns.spend(self)

    def pause_writing(self) -> None:
        """Let gRPC wait for the client."""
        self._unread, self._since = True, self._shared.loop.time()
        if self._grpc is not None and not self._gone:
            self._grpc.transport.pause_reading()

    def resume_writing(self) -> None:
        """Let gRPC send again."""
        self._unread = False
        if self._grpc is not None and not self._gone:
            self._grpc.transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Send bytes of gRPC to the client."""
        if not self._gone:
            self._transport.write(data)

    def cut(self, why: str) -> None:
        """Read no more, report the reason to the client where possible, and close a little later.

        A client that floods waits meanwhile, and does not connect anew at once.
        """
        if self._gone:
            return
        if self._grpc is not None and self._grpc.frames.between:
            self._transport.write(goaway(self.streams.last, why))
        self._pause()
        self._release()
        self._shared.loop.call_later(LINGER, self._transport.abort)

    def finish(self) -> None:
        """Close the connection once the client has taken what gRPC sent last."""
        if not self._gone:
            self._release()
            self._last = True
            self._transport.close()
            self._shared.loop.call_later(LINGER, self._transport.abort)

    def abort(self) -> None:
        """Close the connection at once."""
        self._release()
        self._transport.abort()

    def _release(self) -> None:
        self._gone, self._data, self.waiting = True, b"", False
        self.streams.close()
        if self._grpc is not None:
            self._grpc.transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """End the connection to gRPC too."""
        self._release()
        self._last = False
        self._shared.owner.closed(self)


class GrpcConnection(asyncio.Protocol):
    """The side of gRPC.

    Args:
        client: The client's side.
    """

    def __init__(self, client: ClientConnection) -> None:
        self._client = client
        self.frames = ServerFrames(client.streams)
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Bound what waits for gRPC."""
        self.transport = transport
        transport.set_write_buffer_limits(high=BUFFER)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on to the client."""
        self.frames.read(data)
        self._client.write(data)

    def pause_writing(self) -> None:
        """Let the client wait for gRPC."""
        self._client.pause_grpc(True)

    def resume_writing(self) -> None:
        """Let the client send again."""
        self._client.pause_grpc(False)

    def connection_lost(self, _error: Exception | None) -> None:
        """Close the client's side."""
        self._client.finish()
