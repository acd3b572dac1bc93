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

from aeros_serving.calm import Calm
from aeros_serving.credit import Credit
from aeros_serving.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    LARGEST,
    Code,
    Fault,
    Kind,
    Reader,
    number,
    unpadded,
)
from aeros_serving.headers import Blocks, Headers, Pieces
from aeros_serving.limits import HEAD, LINGER, Limits
from aeros_serving.line import STREAMS, Line
from aeros_serving.peer import PIECE
from aeros_serving.streams import Stream

__all__ = ["Accept", "Connection"]

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
        self._reader, self._blocks, self._calm = Reader(PIECE), Blocks(HEAD), Calm()
        self._partial: Pieces | None = None
        self._streams: dict[int, Stream] = {}
        self._last = 0
        self._credit = Credit()
        self.closing = False
        self.deadline = self._loop.time() + limits.read_timeout

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return bool(self._streams)

    # ------------------------------------------------------------ what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say what this side takes."""
        self._transport = cast("asyncio.Transport", transport)
        self._line = Line(self._transport, self._calm)
        if len(self._everyone) >= self._limits.max_connections:
            self._transport.abort()
            return
        self._everyone.add(self)
        self._line.greet()

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
            self._line.leave(self._last, fault.code, fault.text)
            self._close()

    def eof_received(self) -> bool:
        """Let a client that sends no more still read its answers; half a request has none."""
        self.closing = True
        for stream in list(self._streams.values()):
            if not stream.ended:
                self._drop(stream)
        tls = self._transport.get_extra_info("sslcontext") is not None
        return not tls and bool(self._streams)

    def pause_writing(self) -> None:
        """Take no more from a client that does not read."""
        self._line.full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._line.full = False
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
            self._calm.count()
            if (taker := _TAKERS.get(kind)) is not None:  # unknown kinds are ignored (5.5)
                taker(self, flags, stream, body)

    def _data(self, flags: int, number_: int, body: bytes) -> None:
        if number_ > self._last or not number_:
            raise Fault(Code.PROTOCOL_ERROR, f"data of stream {number_}, which was not opened")
        self._credit.spend(len(body))
        self._line.more(0, self._credit.renew())
        stream, ended = self._streams.get(number_), bool(flags & END_STREAM)
        if not (body or ended) or stream is None or stream.ended:
            self._calm.count()  # a stream that is not there was answered or reset before
        if stream is None or stream.ended:
            return
        stream.credit.spend(len(body))
        if not (stream.held or ended):
            stream.grant()
        stream.take(unpadded(Kind.DATA, flags, body), ended)

    def _headers(self, flags: int, stream: int, block: bytes) -> None:
        self._collect(flags, Pieces(stream, bool(flags & END_STREAM), block, HEAD))

    def _continuation(self, flags: int, stream: int, body: bytes) -> None:
        if self._partial is None:
            raise Fault(Code.PROTOCOL_ERROR, "a continuation of nothing")
        self._collect(flags, self._partial.more(stream, body))

    def _collect(self, flags: int, pieces: Pieces) -> None:
        self._partial = None if flags & END_HEADERS else pieces
        if flags & END_HEADERS:
            self._open(pieces.stream, pieces.ended, pieces.block)

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
            self._calm.count()
            self._line.reset(number_, Code.REFUSED_STREAM)
            return
        stream = self._streams[number_] = Stream(self._line, number_, self.answered)
        self.deadline = math.inf
        self._accept(stream, headers)
        if ended:
            stream.take(b"", ended=True)

    # ------------------------------------------------------------ the other frames

    def _settings(self, flags: int, stream: int, body: bytes) -> None:
        if stream or len(body) % 6 or (flags & ACK and body):
            raise Fault(Code.FRAME_SIZE_ERROR, "SETTINGS that are none")
        if not flags & ACK:
            grown = self._line.peer.take(body)
            for other in self._streams.values():
                other.window += grown
            self._line.confirm(Kind.SETTINGS)
            self._flush()
            self._rested()

    def _ping(self, flags: int, stream: int, body: bytes) -> None:
        if stream or len(body) != 8:
            raise Fault(Code.FRAME_SIZE_ERROR, "a PING that is none")
        if not flags & ACK:
            self._line.confirm(Kind.PING, body)

    def _window(self, _flags: int, number_: int, body: bytes) -> None:
        more, stream = number(body), self._streams.get(number_)
        if number_ > self._last:
            raise Fault(Code.PROTOCOL_ERROR, f"a window of stream {number_}, which is idle")
        if number_ and stream is None:  # it has ended in the meantime
            return
        taker = stream or self._line
        grown = taker.window + more
        if not more or grown > LARGEST:
            raise Fault(Code.FLOW_CONTROL_ERROR, "a window that cannot be")
        taker.window = grown
        if stream is None:
            self._flush()
        else:
            stream.flush()

    def _reset(self, _flags: int, number_: int, body: bytes) -> None:
        number(body)
        if not number_ or number_ > self._last:
            raise Fault(Code.PROTOCOL_ERROR, f"stream {number_} is idle")
        if (stream := self._streams.get(number_)) is not None:
            self._forget(stream)

    def _bad(self, _flags: int, _stream: int, _body: bytes) -> None:
        raise Fault(Code.PROTOCOL_ERROR, "a client pushes nothing")

    # ------------------------------------------------------------ answers

    def answered(self, stream: Stream) -> None:
        """Forget a stream that has said everything."""
        if self._streams.pop(stream.number, None) is None:
            return
        self._calm.rest()
        if not stream.ended:  # what the client still sends is of no use
            self._line.reset(stream.number, Code.NO_ERROR)
        self._rested()

    def _drop(self, stream: Stream) -> None:
        """End a stream whose client sends or takes nothing more."""
        self._line.reset(stream.number, Code.CANCEL)
        self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        self._streams.pop(stream.number, None)
        stream.leave()
        self._rested()

    def _rested(self) -> None:
        if self._streams or self._transport.is_closing():
            return
        self.deadline = self._loop.time() + self._limits.idle_timeout
        if self.closing:
            self._close()

    def _close(self) -> None:
        """Close when what was said is sent, at the latest after a while."""
        self.deadline = self._loop.time() + LINGER
        self._transport.close()

    def _flush(self) -> None:
        for stream in list(self._streams.values()):
            if self._line.full or self._line.window <= 0:
                return
            stream.flush()

    def sweep(self, now: float) -> None:
        """End what does not go on in time: requests, answers, a connection that asks nothing."""
        self._calm.rest()
        if now >= self.deadline:
            if self._transport.is_closing():  # the client does not even read that
                self._transport.abort()
                return
            self._line.leave(self._last, Code.NO_ERROR, "nothing was asked for a while")
            self._close()
            return
        for stream in list(self._streams.values()):
            if now >= stream.deadline:
                stream.late()
            elif stream.stuck(now) >= self._limits.idle_timeout:
                self._drop(stream)

    def finish(self) -> None:
        """Take no more requests, and close once those that are there are answered."""
        if not self.closing:
            self.closing = True
            self._line.leave(self._last, Code.NO_ERROR, "the server is about to end")
        self._rested()


_TAKERS: dict[int, Callable[[Connection, int, int, bytes], None]] = {
    Kind.RST_STREAM: Connection._reset,
    Kind.SETTINGS: Connection._settings,
    Kind.PUSH_PROMISE: Connection._bad,
    Kind.PING: Connection._ping,
    Kind.WINDOW_UPDATE: Connection._window,
    Kind.CONTINUATION: Connection._continuation,
}
