"""A connection of a client, and the one to gRPC behind it: bytes go both ways as they come."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Protocol

from aeros_serving.grpc.guard.frames import (
    HEAD,
    PREFACE,
    ClientFrames,
    Flooded,
    goaway,
)
from aeros_serving.grpc.guard.server_frames import ServerFrames
from aeros_serving.grpc.guard.streams import Streams
from aeros_serving.grpc.guard.turns import Turns
from aeros_serving.grpc.limits import GrpcLimits

__all__ = ["ClientConnection", "Shared"]

ESTABLISHED = 1
"""State of a TCP connection with two ends (Linux, `include/net/tcp_states.h`)."""

BUFFER = 128 * 2**10
"""Bytes that wait for a slow reader, on either side, until the other side waits too."""

LINGER = 1.0
"""Seconds until a connection that is to be closed is: its client may read why."""


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
