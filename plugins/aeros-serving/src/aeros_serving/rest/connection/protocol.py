"""One client's connection: uvicorn's protocol for HTTP/1.1, held to the limits of the server.

uvicorn parses requests, queues pipelined ones and writes responses. Added is what it has no
options for: bounds, the token before the body, offers to upgrade, and an end in order.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any, cast

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from aeros_serving.rest.connection.asgi import (
    Receive,
    Send,
    last_response,
    read_body,
    send_response,
)
from aeros_serving.rest.connection.half_closed import reads_after_eof, watch_half_closed
from aeros_serving.rest.connection.request_head import (
    check_head,
    head_of,
    malformed,
    new_parser,
    too_large,
    too_long,
    without_upgrade,
)
from aeros_serving.rest.connection.shared import Shared
from aeros_serving.rest.connection.unread_input import DENSE, SLICE, HeldFlow, UnreadInput
from aeros_serving.rest.http_message import HttpRequest, HttpResponse, error_response
from aeros_serving.rest.limits import LINGER

__all__ = ["HttpConnection"]


class HttpConnection(HttpToolsProtocol):
    """One client's connection.

    Args:
        shared: What all connections share.
    """

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared.config, shared.state, {}, shared.loop)
        self._shared, self._limits = shared, shared.limits
        self._unread = UnreadInput(
            shared.reading, self._feed, lambda: bool(self.pipeline), self._read_on
        )
        self._held = self._pieces = self._size = self._head = 0
        self._coming = self._offer = self._refused = self._eof = False
        self._answered: RequestResponseCycle | None = None
        self._task: asyncio.Task[None] | None = None
        self.deadline = math.inf

    @property
    def answering(self) -> bool:
        """Whether a request that came whole is being answered."""
        return self._answered is not None and not self._answered.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; the first request has to come in time."""
        super().connection_made(transport)
        self.flow = self._held_flow = HeldFlow(transport)
        self._expect()
        if len(self.connections) > self._limits.max_connections:
            self._take_place()

    def _take_place(self) -> None:
        """Take the place of the connection that has waited longest."""
        longest = next(iter(self._shared.waiting))
        if longest is self:
            most = self._limits.max_connections
            self._refuse(error_response(503, f"{most} clients are being answered already"))
            self.transport.close()
        else:
            longest.give_way()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what is being answered: the client has gone."""
        super().connection_lost(exc)
        self._shared.waiting.pop(self, None)
        self._coming, self._refused = False, True
        self._unread.clear()
        self.pipeline.clear()
        self._hold()
        self._drop_answer()

    def _drop_answer(self) -> None:
        """Cancel the response in progress: the client can no longer read it."""
        if self._answered is not None and self._task is not None:
            self._answered.disconnected = True
            self._task.cancel()
        self._answered = self._task = None

    def data_received(self, data: bytes) -> None:
        """Parse what came, or let it wait its turn where that takes long."""
        if self._refused:
            return
        if self._unread or self.pipeline or len(data) > SLICE or self._pieces > DENSE:
            self.flow.pause_reading()
            self._held_flow.held = True
            self._unread.add(data)
            self._hold()
        else:
            self._feed(data)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Let a client that sends no more still read its response."""
        self._eof = True
        if self._unread:
            return reads_after_eof(self.transport)
        if self._coming:
            self._refuse(error_response(400, "the client closed before its request was whole"))
        if not reads_after_eof(self.transport) or self._answered is None:
            return False
        watch_half_closed(self.loop, self.transport, self.scope, lambda: self.answering)
        return True

    def _read_on(self) -> None:
        """Read on, as all that came is parsed."""
        self._held_flow.held = False
        if self._eof:
            if self._refused or not self.eof_received():
                self.transport.close()
        elif not self.pipeline and (self.cycle is None or len(self.cycle.body) <= HIGH_WATER_LIMIT):
            self.flow.resume_reading()

    def _feed(self, data: bytes) -> None:
        """Have the parser read, and look at what it found."""
        self._head += len(data)  # less what turns out to be of a body
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self._refused:
                self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as bad:
            self._refuse(malformed(bad))
        if self._coming and (why := too_long(self._head, self._size, len(self.headers))):
            self._refuse(error_response(431, why))
        if self._coming or self._held:
            self._hold()

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read the request again as one of HTTP/1.1: an offer to upgrade may be ignored."""
        self.parser = new_parser(self)
        self._head -= len(rest)
        self._feed(without_upgrade(self.scope["method"], self.url, self.headers) + rest)

    def _hold(self) -> None:
        """Report what is kept of requests that have not come whole, or wait for one before."""
        size = sum(len(cycle.body) for cycle, _ in self.pipeline) + len(self._unread)
        if self._coming and not (self.pipeline and self.pipeline[0][0] is self.cycle):
            size += self._size
        if size or self._held:
            self._held = size
            self._limits.room.hold(self, size)

    def evict(self, why: str) -> None:
        """Refuse what comes: there is no room for it (`BufferOwner`)."""
        self._held = 0
        self._refuse(error_response(503, why))

    def on_message_begin(self) -> None:
        """Begin a request; it has to come whole in time."""
        super().on_message_begin()
        if self._refused:
            return
        self._coming, self._offer, self._size, self._pieces = True, False, 0, 0
        if self._answered is None:
            self._expect()

    def on_headers_complete(self) -> None:
        """Refuse a request by its head, or begin to answer it."""
        request = head_of(self.parser.get_method(), self.url, self.headers)
        self.scope["method"] = request.method
        version, most = self.parser.get_http_version(), self._limits.max_body
        refusal = check_head(request, version, most) or self._shared.api.refuse(request)
        if refusal is not None or self._refused:
            self._refuse(refusal or error_response(400, "the request before was refused"))
        elif self.parser.should_upgrade():
            self._offer = True
        else:
            self.url = request.path.encode("ascii")
            super().on_headers_complete()
            self.cycle.scope["state"] = {"request": request}
            self.cycle.keep_alive = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self._size += len(body)
        self._head -= len(body)
        self._pieces += 1
        if self._refused:
            return
        if self._size > self._limits.max_body:
            self._refuse(too_large(self._size, self._limits.max_body))
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        if self._offer or self._refused:
            return
        self._coming, self._head, self._pieces = False, 0, 0
        super().on_message_complete()
        if self.cycle is self._answered:
            self.deadline = math.inf
            self._shared.waiting.pop(self, None)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ARG002
        self._answered = cycle
        self._task = self.loop.create_task(cycle.run_asgi(self._answer))

    async def _answer(self, scope: Any, receive: Receive, send: Send) -> None:
        request: HttpRequest = scope["state"]["request"]
        cycle = cast("RequestResponseCycle", self._answered)
        try:
            request.body = await read_body(receive)
            response = await self._shared.api.answer(request)
            if self._shared.closing or (self._eof and not self.pipeline):
                cycle.keep_alive = False
            if self.flow.write_paused:  # of the response before
                self.deadline = self.loop.time() + self._limits.idle_timeout
            await send_response(send, response, cycle.keep_alive)
        except asyncio.CancelledError:
            if not cycle.disconnected:
                raise

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for it."""
        self._answered = self._task = None
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            if cycle.body or not self.pipeline:
                self._hold()
            if cycle.more_body:
                self._expect()
        elif self._coming:
            self._expect()
        else:
            self._shared.waiting[self] = None
            self.deadline = self.loop.time() + self._limits.idle_timeout
        self._unread.enqueue()

    def _expect(self) -> None:
        """Give the client the time in which a request has to come."""
        self._shared.waiting.setdefault(self)
        self.deadline = self.loop.time() + self._limits.read_timeout

    def _refuse(self, response: HttpResponse) -> None:
        """Send an error response and discard what the client still sends."""
        if self._refused:
            return
        self._refused, self._coming = True, False
        self._unread.clear()
        self.pipeline.clear()
        self._hold()
        self._held_flow.held = False
        self.flow.resume_reading()  # and drop it, so that the client may read why
        if self.answering:  # an earlier request: it is answered, and no other
            cast("RequestResponseCycle", self._answered).keep_alive = False
            return
        self._drop_answer()
        self.transport.write(last_response(response))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.deadline = self.loop.time() + LINGER

    def sweep(self, now: float) -> None:
        """Close the connection if its time is over."""
        if now < self.deadline:
            return
        if self._coming or self._unread:
            self._refuse(error_response(408, "the request did not arrive whole in time"))
        else:
            self.transport.abort()

    def give_way(self) -> None:
        """Close the connection, which waits, for another one."""
        if self._coming:
            self._refuse(error_response(503, "the connection waited longest, and another one came"))
        self.transport.close()

    def shutdown(self) -> None:
        """Close the connection once what was asked is answered; half a request is refused."""
        if self.answering or self.pipeline:
            return
        if self._coming:
            self._refuse(error_response(503, "the server is about to end"))
        self.transport.close()
