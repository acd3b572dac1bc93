"""Methods of the service as handlers of `grpc.aio`: token, messages, status of errors.

Every method is a handler of a stream of messages: such a handler begins with the headers of a
call, so that one without the token is refused, and a late one ended, before its message is there.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from grpc.aio import ServicerContext

from aeros_serving.protocol.errors import (
    Expired,
    Malformed,
    Overloaded,
    Unauthorised,
    Unavailable,
    refusal,
)

__all__ = ["Handlers", "Method"]

_LONGEST = 4000
"""Characters of a status message; a client's limit of all trailers is often 8 KiB."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a service.

    Args:
        read: Makes a message of bytes.
        unary: Awaited with message and context; returns the answer.
        stream: Called with an iterator of messages, and the context; yields answers.
        public: Whether no token is asked for.
    """

    read: Callable[[bytes], Any]
    unary: Callable[[Any, ServicerContext], Awaitable[Any]] | None = None
    stream: Callable[[AsyncIterator[Any], ServicerContext], AsyncIterator[Any]] | None = None
    public: bool = False


class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Finds the handler of a call.

    Args:
        methods: By path, ``/package.Service/Method``.
        token: What calls have to bear; empty: nothing.
        read_timeout: Seconds in which the message of a call has to arrive.
        most_reading: Calls whose message has not arrived, at the same time; those of public
            methods do not count.

    Attributes:
        accepted: Called when a call arrives here.
        closing: Set when the server ends.
    """

    def __init__(
        self, methods: Mapping[str, Method], token: str, read_timeout: float, most_reading: int
    ) -> None:
        self._token = f"Bearer {token}".encode() if token else b""
        self._read_timeout, self._most_reading, self._reading = read_timeout, most_reading, 0
        self.closing = asyncio.Event()
        self.accepted: Callable[[], None] = lambda: None
        self._handlers = {path: self._handler(method) for path, method in methods.items()}

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Return the handler of a call; None: there is no such method."""
        self.accepted()
        return self._handlers.get(details.method)

    def _handler(self, method: Method) -> grpc.RpcMethodHandler:
        """Return a method's handler, which reads and writes messages to give errors a status."""
        if method.stream is not None:
            return grpc.stream_stream_rpc_method_handler(self._streaming(method))
        return grpc.stream_unary_rpc_method_handler(self._answering(method))

    def _answering(self, method: Method) -> Callable[[Any, ServicerContext], Awaitable[bytes]]:
        call: Any = method.unary

        async def answer(_requests: Any, context: ServicerContext) -> bytes:
            try:
                self._admit(method, context)
                message = _parsed(method.read, await self._arrived(method, context))
                made: bytes = (await call(message, context)).SerializeToString()
            except Exception as failure:
                status, text = _status(failure)
            else:
                return made
            await context.abort(status, text)
            raise AssertionError("abort raises")

        return answer

    async def _arrived(self, method: Method, context: ServicerContext) -> bytes:
        """Return the message of a call.

        Raises:
            Expired: It did not arrive in time.
            Overloaded: Too many calls wait for theirs.
            Malformed: The call ended without one.
        """
        if self._reading >= self._most_reading and not method.public:
            raise Overloaded(f"the messages of {self._reading} calls have not arrived")
        self._reading += not method.public
        try:
            async with asyncio.timeout(self._read_timeout):
                data = await context.read()
        except TimeoutError:
            raise Expired("the message did not arrive whole in time") from None
        finally:
            self._reading -= not method.public
        if data is grpc.aio.EOF:
            raise Malformed("a call brings one message, not 0")
        message: bytes = data
        return message

    def _streaming(self, method: Method) -> Callable[[Any, ServicerContext], AsyncIterator[bytes]]:
        call: Any = method.stream

        async def converse(requests: Any, context: ServicerContext) -> AsyncIterator[bytes]:
            try:
                self._admit(method, context)
                messages = _messages(method.read, aiter(requests), self.closing)
                async for answer in call(messages, context):
                    yield answer.SerializeToString()
            except Exception as failure:
                status, text = _status(failure)
            else:
                return
            await context.abort(status, text)

        return converse

    def _admit(self, method: Method, context: ServicerContext) -> None:
        if not self._token or method.public:
            return
        for name, value in context.invocation_metadata():
            if name == "authorization":
                given = value.encode() if isinstance(value, str) else value
                if hmac.compare_digest(given, self._token):
                    return
        raise Unauthorised("the call bears no token that is known here")


async def _messages(
    read: Callable[[bytes], Any], requests: AsyncIterator[bytes], closing: asyncio.Event
) -> AsyncIterator[Any]:
    """Yield messages as they come, until the client or the server ends the stream.

    Raises:
        Malformed: A message cannot be read.
        Unavailable: The server ends while nothing is being computed.
    """
    closed = asyncio.ensure_future(closing.wait())
    coming: asyncio.Future[bytes | None] | None = None
    try:
        while True:
            coming = asyncio.ensure_future(_next(requests))
            await asyncio.wait((coming, closed), return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                raise Unavailable("the server is about to end")
            if (data := coming.result()) is None:
                return
            yield _parsed(read, data)
    finally:
        closed.cancel()
        if coming is not None:
            coming.cancel()


async def _next(requests: AsyncIterator[bytes]) -> bytes | None:
    return await anext(requests, None)


def _parsed(read: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return read(data)
    except Exception as error:
        raise Malformed(f"the message cannot be read: {error}") from None


def _status(failure: Exception) -> tuple[grpc.StatusCode, str]:
    """Return the status and message of an error; a model's own error becomes INTERNAL."""
    refused = refusal(failure)
    return grpc.StatusCode[refused.grpc], str(refused)[:_LONGEST]
