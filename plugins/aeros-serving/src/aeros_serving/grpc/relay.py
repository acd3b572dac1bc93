"""A connection of a client, and the one to gRPC behind it: bytes go both ways as they come."""

from __future__ import annotations

import asyncio
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
from aeros_serving.protocol.buffer_budget import BufferBudget

__all__ = ["ClientConnection", "Shared", "Turns"]

QUANTUM, TURN = 512, 1024
"""Units that one connection, and all together, may spend in one turn of the event loop: about a
millisecond."""

BUFFER = 128 * 2**10
"""Bytes that wait for a slow reader, on either side, until the other side waits too."""

LINGER = 1.0
"""Seconds in which a client may read why its connection is closed."""


class Turns:
    """Shares each turn of the event loop among connections with bytes to read.

    Args:
        loop: The event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[ClientConnection] = deque()
        self._scheduled = False
        self._left = TURN

    def spend(self, connection: ClientConnection) -> None:
        """Let a connection read its bytes, now or in one of the next turns."""
        self._read(connection)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _read(self, connection: ClientConnection) -> None:
        given = min(QUANTUM, self._left)
        if given > 0:
            self._left -= given - connection.read(given)
        if connection.waiting:
            self._waiting.append(connection)

    def _turn(self) -> None:
        self._scheduled, self._left = False, TURN
        for _ in range(len(self._waiting)):
            if self._left <= 0:
                break
            self._read(self._waiting.popleft())
        if self._waiting:
            self._scheduled = True
            self._loop.call_soon(self._turn)


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
        budget: Bound of the bytes of unfinished messages.
        read_timeout: Seconds in which the preface has to come.
        idle_timeout: Seconds after which a client is given up that takes no bytes.
    """

    def __init__(
        self,
        owner: Owner,
        path: str,
        budget: BufferBudget,
        read_timeout: float,
        idle_timeout: float,
    ) -> None:
        self.owner, self.path, self.budget = owner, path, budget
        self.read_timeout, self.idle_timeout = read_timeout, idle_timeout
        self.loop = asyncio.get_running_loop()
        self.turns = Turns(self.loop)
        self.connecting: set[asyncio.Task[None]] = set()


class ClientConnection(asyncio.Protocol):
    """The client's side.

    Args:
        shared: What the connections of the listener share.

    Attributes:
        waiting: Whether bytes have come that were not read.
        streams: The calls that have not ended.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._transport: Any = None
        self._grpc: GrpcConnection | None = None
        self.streams = Streams(shared.budget, {})
        self.waiting = False
        self._frames = ClientFrames(self.streams, self)
        self._data, self._at = b"", 0
        self._connecting = self._paused = self._full = self._gone = False
        self._since = shared.loop.time()
        self._unread = False

    def late(self, now: float) -> bool:
        """Return whether the client takes too long to begin, or to read what it was sent."""
        if self._unread:
            return now > self._since + self._shared.idle_timeout
        return self._grpc is None and now > self._since + self._shared.read_timeout

    def end_unless_begun(self) -> None:
        """Close a connection on which no call can have been begun."""
        if self._grpc is None:
            self.abort()

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
        if data[: len(PREFACE)] != PREFACE[: len(data)]:
            self.abort()
        elif len(data) >= needed:
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
        data, begin = self._data, self._at
        try:
            at, units = self._frames.read(data, begin, units)
        except Flooded as flooded:
            self.cut(str(flooded))
            return 0
        if self._gone:  # there was no room for its own message
            return units
        self._grpc.transport.write(data if not begin and at == len(data) else data[begin:at])
        self._at = at
        self.waiting = len(data) - at >= HEAD or (units <= 0 and at < len(data))
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
        """Close the connection, and tell the client why where that is possible."""
        if self._gone:
            return
        between = self._grpc is None or self._grpc.frames.between
        if self._grpc is not None and between:
            self._transport.write(goaway(self.streams.last, why))
        self._release()
        self._transport.close()
        self._shared.loop.call_later(LINGER if between else 0, self._transport.abort)

    def finish(self) -> None:
        """Close the connection once the client has taken what gRPC sent last."""
        if not self._gone:
            self._release()
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
