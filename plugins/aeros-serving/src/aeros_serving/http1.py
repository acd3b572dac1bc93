"""HTTP/1.1 on asyncio with httptools: bounded requests, pipelining, slow and half-closed clients.

There is no framework on the path of a request; what answers is called with an `Exchange`.
"""

from __future__ import annotations

import asyncio
import math
import select
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TypeAlias, cast

import httptools

from aeros_serving.exchange import Exchange, error
from aeros_serving.limits import HEAD, LINGER, Limits
from aeros_serving.room import PIECE
from aeros_serving.tensors import Buffer

__all__ = ["Answering", "Connection"]

FRAMING = 8
"""Bytes beside it that each byte of a body may cost: chunks of one byte cost five."""

AHEAD = 8
"""Requests of a connection that may wait behind the one that is answered."""

PROBE = 0.01
"""Seconds until it is first seen whether a client that sends no more is there to read."""

_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
_STATUS |= {status: _STATUS[status] + b"retry-after: 1\r\n" for status in (429, 503)}
"""First lines of answers; whoever came in vain may come again after a second."""


Answering: TypeAlias = Callable[[Exchange], None]


class Connection(asyncio.Protocol):
    """One client's connection.

    Args:
        answer: Called with every request, one after the other.
        limits: What the client is held to.
        everyone: The connections of the server; this one puts itself in and out.
        admits: Asked once the headers are there, before any of the body is kept.
    """

    def __init__(
        self,
        answer: Answering,
        limits: Limits,
        everyone: set[Connection],
        admits: Callable[[Exchange], bool] | None = None,
    ) -> None:
        self._answer = answer
        self._admits = admits
        self._limits = limits
        self._everyone = everyone
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._coming: Exchange | None = None
        self._current: Exchange | None = None
        self._next: deque[Exchange] = deque()
        self._size = self._head = 0
        self._eof = self._refused = self._full = False
        self.closing, self.deadline = False, math.inf

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._current is not None

    # ------------------------------------------------------------ what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._everyone.add(self)
        self.deadline = self._loop.time() + self._limits.read_timeout
        if len(self._everyone) > self._limits.max_connections:
            self._refuse(503, f"{self._limits.max_connections} clients are connected already")
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Tell whoever answers that nobody waits any more."""
        self._everyone.discard(self)
        if self._current is not None and self._current.gone is not None:
            self._current.gone()
        self._current = self._coming = None
        self._next.clear()
        self._hold()

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._refused:
            return
        self._head += len(data)  # less what turns out to be of a body
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, "this server speaks HTTP/1.1 alone, without upgrades")
        except httptools.HttpParserError as bad:
            if isinstance(bad.__context__, MemoryError):
                self._refuse(503, "out of memory: the request has no room here")
            elif not self._refused:
                self._refuse(400, f"this is no HTTP/1.1 request: {bad.__context__ or bad}")
        else:
            most = HEAD + FRAMING * self._size
            if self._coming is not None and not self._refused and self._head > most:
                self._refuse(431, f"the headers are larger than {HEAD} bytes")
            self._hold()

    def _hold(self) -> None:
        """Note what is kept of requests that have not come whole, or wait for the one before."""
        coming, size = self._coming, sum(len(waits.body) for waits in self._next)
        if coming is not None and coming.pieces:
            size += self._size + PIECE * len(coming.pieces)
        self._limits.room.hold(self, size)

    def evict(self, why: str) -> None:
        """Refuse what comes: there is no room for it (`room.Holder`)."""
        self._refuse(503, why)

    def eof_received(self) -> bool:
        """Let a client that sends no more still read its answers."""
        self._eof = True
        if self._coming is not None and not self._refused:
            self._refuse(400, "the client closed the connection before its request was whole")
        tls = self._transport.get_extra_info("sslcontext") is not None
        if tls or self._current is None:
            return False
        if self._parser.get_http_version() == "1.1":
            self._transport.write(_INTERIM)
            self._loop.call_later(PROBE, self._probe, PROBE)
        return True

    def _probe(self, after: float) -> None:
        """See whether a client that sends no more has closed, or reads on.

        A client has to take an interim answer that it did not ask for (RFC 9110, 15.2). The
        system of one that has closed answers it with a reset, which nobody reads after the end.
        """
        if self._current is None or self._transport.is_closing():
            return
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), 0)
        if poll.poll(0):  # an error or a hang-up, which are told whatever is asked for
            self._transport.abort()
        else:
            after = min(1.0, 2 * after)
            self._loop.call_later(after, self._probe, after)

    def pause_writing(self) -> None:
        """Take no more requests from a client that does not read."""
        self._full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._full = False
        self._transport.resume_reading()
        self._go_on()

    # ------------------------------------------------------------ what httptools calls

    def on_message_begin(self) -> None:
        """Begin a request; it has to arrive whole in time."""
        self._coming = Exchange(self)
        self._size = 0
        if self._current is None:
            self.deadline = self._loop.time() + self._limits.read_timeout

    def on_url(self, url: bytes) -> None:
        """Take path and query, or a part of them."""
        cast("Exchange", self._coming).target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one behind the body says nothing."""
        coming = cast("Exchange", self._coming)
        if not coming.method:
            coming.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Look at the length that is announced, before any of it is kept."""
        coming = cast("Exchange", self._coming)
        coming.method = self._parser.get_method().decode()
        coming.keep = self._parser.should_keep_alive()
        length = coming.headers.get(b"content-length", b"0")
        if self._admits is not None and not self._admits(coming):
            told = "the request bears no token that is known here"
            self._refuse(401, told, b"www-authenticate: Bearer\r\n")
        elif int(length) > self._limits.max_body:
            self._too_large(int(length))
        elif coming.headers.get(b"expect", b"").lower() == b"100-continue":
            self._transport.write(_INTERIM)

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self._size += len(body)
        self._head -= len(body)
        if self._size > self._limits.max_body:
            self._too_large(self._size)
        elif not self._refused:
            cast("Exchange", self._coming).pieces.append(body)

    def on_message_complete(self) -> None:
        """Have the request answered, or let it wait for the one before."""
        done, self._coming, self._head = cast("Exchange", self._coming), None, 0
        if self._refused:
            return
        done.body = done.pieces[0] if len(done.pieces) == 1 else b"".join(done.pieces)
        done.pieces = []
        if self._current is not None or self._full:
            self._next.append(done)
            if len(self._next) >= AHEAD:
                self._transport.pause_reading()
        else:
            self._begin(done)

    # ------------------------------------------------------------ answers

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        self.deadline = math.inf
        self._answer(exchange)

    def send(
        self,
        exchange: Exchange,
        status: int,
        body: Sequence[Buffer],
        headers: Mapping[str, str | int],
    ) -> None:
        """Send an answer, and go on with the next request."""
        if exchange is not self._current or self._transport.is_closing():
            return
        keep = exchange.keep and not self.closing and (not self._eof or bool(self._next))
        head = [_STATUS[status], b"content-length: %d\r\n" % sum(map(len, body))]
        if "content-type" not in headers:
            head.append(b"content-type: application/json\r\n")
        head += [f"{name}: {value}\r\n".encode("latin-1") for name, value in headers.items()]
        head.append(b"\r\n" if keep else b"connection: close\r\n\r\n")
        parts = [] if exchange.method == "HEAD" else body
        self._transport.writelines([b"".join(head), *parts])
        self._current = None
        self.deadline = self._loop.time() + self._limits.idle_timeout
        if not keep:
            self._transport.close()
        elif self._next:
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._next and self._current is None and not self._full and not self._refused:
            following = self._next.popleft()
            if len(self._next) < AHEAD:
                self._transport.resume_reading()
            self._hold()
            self._begin(following)

    def _too_large(self, size: int) -> None:
        if not self._refused:
            told = f"the body has {size:,} bytes or more, and {self._limits.max_body:,} are taken"
            self._refuse(413, told)

    def _refuse(self, status: int, text: str, more: bytes = b"") -> None:
        """Answer what cannot be read, and wait until the client has read it too."""
        self._refused, self._coming = True, None
        self._next.clear()
        self._hold()
        if self._current is not None:  # an earlier request is still being answered: it is told
            self._current.keep = False
            return
        body = error(text)
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        self._transport.writelines([_STATUS[status], more, head % len(body[0]), *body])
        self.deadline = self._loop.time() + LINGER

    def sweep(self, now: float) -> None:
        """Close the connection if its time is over."""
        if now < self.deadline:
            return
        late = self._coming is not None and not self._refused and self._current is None
        if late:
            self._refuse(408, "the request did not arrive whole in time")
            self._transport.close()
        else:
            self._transport.abort()

    def finish(self) -> None:
        """Close the connection once it has answered what it has been asked."""
        self.closing = True
        if self._current is None:
            self._transport.close()
