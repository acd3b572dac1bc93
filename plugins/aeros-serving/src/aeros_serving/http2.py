"""The server's side of HTTP/2 (RFC 9113) on asyncio, as far as gRPC needs it.

Headers are read by the library hpack; they are written without its dynamic table, so that
those of an answer are the same bytes for every client. There is no push, no priority, and no
upgrade from HTTP/1.1.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, TypeAlias, cast

from aeros_serving.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    LARGEST,
    Code,
    Fault,
    Kind,
    Reader,
    frame,
    number,
    settings,
    unpadded,
)
from aeros_serving.headers import Blocks, Headers
from aeros_serving.http1 import HEAD, Limits
from aeros_serving.peer import INITIAL_WINDOW, MAX_FRAME, PIECE, Peer
from aeros_serving.streams import Stream

__all__ = ["Accept", "Connection"]

STREAMS = 256
"""Requests of a client that are answered at a time; more it is told to hold back."""

WINDOW = 2**20
"""Bytes that a client may be ahead of what was read, of a request and of a connection."""

IDLE = 1000
"""Frames that ask nothing, in a second, after which a client is told to calm down."""

_MAX_STREAMS, _MAX_LIST = 0x3, 0x6

Accept: TypeAlias = Callable[[Stream, Headers], None]
"""Told of each request; sets what the stream calls."""


class Connection(asyncio.Protocol):
    """One client's connection.

    Args:
        accept: Told of each request once its headers are there.
        limits: What the client is held to.
        everyone: The connections of the server; this one puts itself in and out.
    """

    def __init__(self, accept: Accept, limits: Limits, everyone: set[Any]) -> None:
        self._accept, self._limits, self._everyone = accept, limits, everyone
        self._loop = asyncio.get_running_loop()
        self._reader, self._blocks, self._peer = Reader(PIECE), Blocks(HEAD), Peer()
        self._partial: tuple[int, bool, bytes] | None = None
        self._streams: dict[int, Stream] = {}
        self._last = 0
        self._idle = 0
        self._credit = WINDOW
        self.window = 2**16 - 1
        self._full = self.closing = False
        self.deadline = self._loop.time() + limits.read_timeout

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return bool(self._streams)

    # ------------------------------------------------------------ what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say what this side takes."""
        self._transport = cast("asyncio.Transport", transport)
        if len(self._everyone) >= self._limits.max_connections:
            self._transport.abort()
            return
        self._everyone.add(self)
        told = {_MAX_STREAMS: STREAMS, INITIAL_WINDOW: WINDOW, MAX_FRAME: PIECE, _MAX_LIST: HEAD}
        more = (WINDOW - (2**16 - 1)).to_bytes(4, "big")
        self._transport.write(settings(told) + frame(Kind.WINDOW_UPDATE, 0, 0, more))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Tell whoever answers that nobody waits any more."""
        self._everyone.discard(self)
        for stream in list(self._streams.values()):
            stream.leave()
        self._streams.clear()

    def data_received(self, data: bytes) -> None:
        """Read whole frames; keep what is left of the last."""
        try:
            for kind, flags, stream, body in self._reader.feed(data):
                if self._transport.is_closing():
                    return
                self._take(kind, flags, stream, body)
        except Fault as fault:
            self._away(fault.code, fault.text)
            self._transport.close()

    def eof_received(self) -> bool:
        """Let a client that sends no more still read its answers."""
        tls = self._transport.get_extra_info("sslcontext") is not None
        return not tls and bool(self._streams)

    def pause_writing(self) -> None:
        """Take no more from a client that does not read."""
        self._full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._full = False
        self._transport.resume_reading()
        self._flush()

    # ------------------------------------------------------------ frames

    def _take(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if self._partial is not None and kind != Kind.CONTINUATION:
            raise Fault(Code.PROTOCOL_ERROR, "headers were not finished")
        if kind == Kind.DATA:
            self._data(flags, stream, body)
        elif kind == Kind.HEADERS:
            self._headers(flags, stream, unpadded(Kind.HEADERS, flags, body))
        else:
            self._count()
            if (taker := _TAKERS.get(kind)) is not None:  # unknown kinds are ignored (5.5)
                taker(self, flags, stream, body)

    def _count(self) -> None:
        self._idle += 1
        if self._idle > IDLE:
            raise Fault(Code.ENHANCE_YOUR_CALM, "too many frames that ask nothing")

    def _data(self, flags: int, number_: int, body: bytes) -> None:
        if number_ > self._last or not number_:
            raise Fault(Code.PROTOCOL_ERROR, f"data of stream {number_}, which was not opened")
        self._credit -= len(body)
        if self._credit < 0:
            raise Fault(Code.FLOW_CONTROL_ERROR, "more data than the window has room for")
        if self._credit < WINDOW // 2:
            self._more(0, WINDOW - self._credit)
            self._credit = WINDOW
        stream, ended = self._streams.get(number_), bool(flags & END_STREAM)
        if not (body or ended) or stream is None or stream.ended:
            self._count()  # a stream that is not there was answered or reset before
        if stream is None or stream.ended:
            return
        stream.credit -= len(body)
        if stream.credit < 0:
            raise Fault(Code.FLOW_CONTROL_ERROR, f"stream {number_} sent more than it may")
        if not stream.held and not ended:
            self.grant(stream)
        stream.take(unpadded(Kind.DATA, flags, body), ended)

    def grant(self, stream: Stream) -> None:
        """Let a client send more of a request, if it is worth a frame."""
        if stream.credit < WINDOW // 2:
            self._more(stream.number, WINDOW - stream.credit)
            stream.credit = WINDOW

    def _more(self, stream: int, size: int) -> None:
        self._transport.write(frame(Kind.WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big")))

    def _headers(self, flags: int, stream: int, block: bytes) -> None:
        if flags & END_HEADERS:
            self._open(stream, bool(flags & END_STREAM), block)
        else:
            self._partial = (stream, bool(flags & END_STREAM), block)

    def _continuation(self, flags: int, stream: int, body: bytes) -> None:
        if self._partial is None or self._partial[0] != stream:
            raise Fault(Code.PROTOCOL_ERROR, "a continuation of nothing")
        _, ended, block = self._partial
        if len(block) + len(body) > HEAD:
            raise Fault(Code.ENHANCE_YOUR_CALM, f"the headers are larger than {HEAD} bytes")
        self._partial = (stream, ended, block + body)
        if flags & END_HEADERS:
            self._partial = None
            self._open(stream, ended, block + body)

    def _open(self, number_: int, ended: bool, block: bytes) -> None:
        headers, stream = self._blocks.read(block), self._streams.get(number_)
        if stream is not None:  # trailers
            if stream.ended or not ended:
                raise Fault(Code.PROTOCOL_ERROR, "headers within a request")
            stream.take(b"", ended=True)
            return
        if number_ <= self._last or number_ % 2 == 0:
            raise Fault(Code.PROTOCOL_ERROR, f"stream {number_} cannot be opened")
        self._last = number_
        if self.closing or len(self._streams) >= STREAMS:
            self._count()
            self.reset(number_, Code.REFUSED_STREAM)
            return
        stream = self._streams[number_] = Stream(self, number_, self._peer.initial, WINDOW)
        self.deadline = math.inf
        self._accept(stream, headers)
        if ended:
            stream.take(b"", ended=True)

    # ------------------------------------------------------------ the other frames

    def _settings(self, flags: int, stream: int, body: bytes) -> None:
        if stream or len(body) % 6 or (flags & ACK and body):
            raise Fault(Code.FRAME_SIZE_ERROR, "SETTINGS that are none")
        if not flags & ACK:
            before = self._peer.initial
            self._peer.take(body)
            for other in self._streams.values():
                other.window += self._peer.initial - before
            self._transport.write(frame(Kind.SETTINGS, ACK, 0))
            self._flush()
            self._rested()

    def _ping(self, flags: int, stream: int, body: bytes) -> None:
        if stream or len(body) != 8:
            raise Fault(Code.FRAME_SIZE_ERROR, "a PING that is none")
        if not flags & ACK:
            self._transport.write(frame(Kind.PING, ACK, 0, body))

    def _window(self, _flags: int, number_: int, body: bytes) -> None:
        more, stream = number(body), self._streams.get(number_)
        if number_ > self._last:
            raise Fault(Code.PROTOCOL_ERROR, f"a window of stream {number_}, which is idle")
        if number_ and stream is None:  # it has ended in the meantime
            return
        grown = more + (self.window if stream is None else stream.window)
        if not more or grown > LARGEST:
            raise Fault(Code.FLOW_CONTROL_ERROR, "a window that cannot be")
        if stream is None:
            self.window = grown
            self._flush()
        else:
            stream.window = grown
            stream.flush()

    def _reset(self, _flags: int, number_: int, body: bytes) -> None:
        number(body)
        if not number_ or number_ > self._last:
            raise Fault(Code.PROTOCOL_ERROR, f"stream {number_} is idle")
        if (stream := self._streams.pop(number_, None)) is not None:
            stream.leave()
            self._rested()

    def _bad(self, _flags: int, _stream: int, _body: bytes) -> None:
        raise Fault(Code.PROTOCOL_ERROR, "a client pushes nothing")

    # ------------------------------------------------------------ answers

    def write(self, data: bytes) -> None:
        """Send bytes that are whole frames."""
        self._transport.write(data)

    @property
    def full(self) -> bool:
        """Whether the client does not read what was sent."""
        return self._full

    @property
    def piece(self) -> int:
        """Bytes of content in a frame to the client, at most."""
        return self._peer.piece

    def answered(self, stream: Stream) -> None:
        """Forget a stream that has said everything."""
        if self._streams.pop(stream.number, None) is None:
            return
        self._idle = 0
        if not stream.ended:  # what the client still sends is of no use
            self.reset(stream.number, Code.NO_ERROR)
        self._rested()

    def reset(self, stream: int, code: Code) -> None:
        """End a stream before its time."""
        self._transport.write(frame(Kind.RST_STREAM, 0, stream, code.to_bytes(4, "big")))

    def _rested(self) -> None:
        if self._streams:
            return
        self.deadline = self._loop.time() + self._limits.idle_timeout
        if self.closing:
            self._transport.close()

    def _flush(self) -> None:
        for stream in list(self._streams.values()):
            if self._full or self.window <= 0:
                return
            stream.flush()

    def _away(self, code: Code, text: str) -> None:
        body = self._last.to_bytes(4, "big") + code.to_bytes(4, "big") + text.encode()
        self._transport.write(frame(Kind.GOAWAY, 0, 0, body))

    def sweep(self, now: float) -> None:
        """End what does not arrive in time: requests, or a connection that asks nothing."""
        self._idle = 0
        if now >= self.deadline:
            self._away(Code.NO_ERROR, "nothing was asked for a while")
            self._transport.close()
            return
        for stream in list(self._streams.values()):
            if now >= stream.deadline:
                stream.late()

    def finish(self) -> None:
        """Take no more requests, and close once those that are there are answered."""
        if not self.closing:
            self.closing = True
            self._away(Code.NO_ERROR, "the server is about to end")
        self._rested()


_TAKERS: dict[int, Callable[[Connection, int, int, bytes], None]] = {
    Kind.RST_STREAM: Connection._reset,
    Kind.SETTINGS: Connection._settings,
    Kind.PUSH_PROMISE: Connection._bad,
    Kind.PING: Connection._ping,
    Kind.WINDOW_UPDATE: Connection._window,
    Kind.CONTINUATION: Connection._continuation,
}
