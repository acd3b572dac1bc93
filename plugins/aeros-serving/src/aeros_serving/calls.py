"""gRPC over HTTP/2: which method a request is for, its messages, and their answers.

The protocol is described in doc/PROTOCOL-HTTP2.md of the project gRPC.
"""

from __future__ import annotations

import asyncio
import hmac
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

from aeros_serving.codec import inflated
from aeros_serving.failures import (
    Exhausted,
    Expired,
    Malformed,
    TooLarge,
    Unauthorised,
    refusal,
)
from aeros_serving.headers import Headers
from aeros_serving.limits import Limits
from aeros_serving.method import Method
from aeros_serving.room import PIECE
from aeros_serving.status import HEAD, OK, failed, refused
from aeros_serving.streams import Stream
from aeros_serving.tensors import Buffer

__all__ = ["Call", "Calls", "Method"]

_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


class Calls:
    """Answers the streams of every connection (`http2.Accept`).

    Args:
        methods: By path, ``/package.Service/Method``.
        token: What a call has to bear; empty: nothing.
        limits: Bytes of a message, the seconds in which it has to come whole, and the room
            for those that have not.
    """

    def __init__(self, methods: Mapping[str, Method], token: str, limits: Limits) -> None:
        self._methods = {path.encode(): method for path, method in methods.items()}
        self._token = f"Bearer {token}".encode() if token else b""
        self.max_body, self.read_timeout = limits.max_body, limits.read_timeout
        self.room = limits.room
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, stream: Stream, headers: Headers) -> None:
        """Take up a request."""
        if headers.get(b":method") != b"POST":
            stream.finish(refused(405))
        elif not headers.get(b"content-type", b"").startswith(b"application/grpc"):
            stream.finish(refused(415))
        elif (method := self._methods.get(headers.get(b":path", b""))) is None:
            path = headers.get(b":path", b"").decode("latin-1")
            stream.finish(HEAD + failed("UNIMPLEMENTED", f"there is no method {path}"))
        else:
            call = Call(self, stream, method, headers)
            if not (method.open or self._admits(headers)):
                call.fail(Unauthorised("the call bears no token that is known here"))
            elif method.stream is not None:
                self.spawn(call.converse(method.stream))

    def _admits(self, headers: Headers) -> bool:
        given = headers.get(b"authorization", b"")
        return not self._token or hmac.compare_digest(given, self._token)

    def spawn(self, work: Any) -> asyncio.Task[None]:
        """Run a coroutine as a task that is kept until it ends."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class Call:
    """A call of a method, and the way to answer it.

    Attributes:
        gone: Called if the client leaves before the answer.
    """

    __slots__ = ("_calls", "_come", "_ended", "_inbox", "_loop", "_method", "_need", "_packing",
                 "_size", "_started", "_stream", "_until", "gone")  # fmt: skip

    def __init__(self, calls: Calls, stream: Stream, method: Method, headers: Headers) -> None:
        self._calls, self._stream, self._method = calls, stream, method
        self._loop = asyncio.get_running_loop()
        self._packing = headers.get(b"grpc-encoding", b"identity").decode("latin-1")
        self._until = self._deadline(headers.get(b"grpc-timeout"))
        self._inbox: deque[bytes] = deque()
        self._size, self._need, self._ended, self._started = 0, 5, False, False
        self._come: asyncio.Event | None = None
        self.gone: Callable[[], None] | None = None
        stream.receive, stream.gone, stream.late = self._receive, self._left, self._late
        stream.deadline = self._loop.time() + calls.read_timeout
        stream.held = method.stream is not None

    def _deadline(self, timeout: bytes | None) -> float:
        if timeout is None:
            return math.inf
        digits, unit = timeout[:-1], _UNITS.get(timeout[-1:])
        if unit is None or not digits.isdigit() or len(digits) > 8:
            return math.inf
        return self._loop.time() + int(digits) * unit

    def time_remaining(self) -> float:
        """Seconds that the client still waits; infinity where it does not say."""
        return self._until - self._loop.time()

    # ------------------------------------------------------------ what comes

    def _receive(self, data: bytes, ended: bool) -> None:
        self._inbox.append(data)
        self._size += len(data)
        self._ended = ended
        if self._size > self._calls.max_body + 5:
            self._end(TooLarge(f"a message is longer than {self._calls.max_body:,} bytes"))
            return
        self._hold(0 if ended and self._method.stream is None else self._size)
        if not self._inbox:  # there was no room for it
            return
        if self._method.stream is not None:
            self._stream.deadline = math.inf  # who converses may be silent for a while
            if self._come is not None:
                self._come.set()
        elif ended:
            self._stream.deadline = math.inf
            self._begin()

    def _hold(self, size: int) -> None:
        pieces = len(self._inbox) * PIECE if size else 0
        self._calls.room.hold(self, size + pieces)

    def evict(self, why: str) -> None:
        """End the call: there is no room for what comes of it (`room.Holder`)."""
        self._end(Exhausted(why))

    def _end(self, failure: Exception) -> None:
        left = self.gone
        self.fail(failure)
        if left is not None:
            left()

    def _begin(self) -> None:
        """Have the one message of the call answered."""
        try:
            message = self._one()
            if self._method.now is not None:
                self._method.now(message, self)
            elif self._method.soon is not None:
                task = self._calls.spawn(self._later(self._method.soon(message, self)))
                self.gone = task.cancel  # type: ignore[assignment]
        except Exception as failure:
            self.fail(failure)

    async def _later(self, work: Awaitable[Any]) -> None:
        try:
            left = self.time_remaining()
            async with asyncio.timeout(None if left == math.inf else max(left, 0)):
                self.reply(await work)
        except Exception as failure:
            self.fail(failure)

    def _one(self) -> Any:
        found = list(self._messages())
        if len(found) != 1 or self._size:
            beside = f" and {self._size} bytes of another" if self._size else ""
            raise Malformed(f"a call brings one message, not {len(found)}{beside}")
        return found[0]

    def _messages(self) -> Iterator[Any]:
        """Take out the messages that are whole (section "Length-Prefixed-Message")."""
        if self._size < self._need:  # do not even join the pieces: there may be many
            return
        data: Buffer = self._inbox[0] if len(self._inbox) == 1 else b"".join(self._inbox)
        self._inbox.clear()
        place, total = 0, len(data)
        while total - place >= 5:
            after = place + 5 + int.from_bytes(data[place + 1 : place + 5], "big")
            if after > total:
                break
            body = data[place + 5 : after]
            if data[place]:
                body = inflated(self._packing, body, self._calls.max_body)
            place = after
            yield self._read(bytes(body))
        self._size = total - place
        self._need = 5 if self._size < 5 else after - place
        if self._size:
            self._inbox.append(bytes(data[place:]))
        self._hold(self._size)

    def _read(self, body: bytes) -> Any:
        try:
            return self._method.read(body)
        except Exception as error:
            raise Malformed(f"the message cannot be read: {error}") from None

    async def _coming(self) -> AsyncIterator[Any]:
        """Yield messages as they come."""
        while True:
            come, ended = asyncio.Event(), self._ended
            self._come = come
            for message in list(self._messages()):  # more may come while one is answered
                yield message
            if ended:
                if self._size:
                    raise Malformed("the last message is not whole")
                return
            self._stream.grant()
            await come.wait()

    # ------------------------------------------------------------ answers

    async def converse(
        self, method: Callable[[AsyncIterator[Any], Call], AsyncIterator[Any]]
    ) -> None:
        """Answer messages as they come, each when the client has taken what was before it."""
        task = asyncio.current_task()
        self.gone = None if task is None else task.cancel  # type: ignore[assignment]
        try:
            left = self.time_remaining()
            async with asyncio.timeout(None if left == math.inf else max(left, 0)):
                async for answer in method(self._coming(), self):
                    self._say(answer)
                    await self._stream.drained()
            self._forget()
            self._stream.finish((b"" if self._started else HEAD) + OK)
        except Exception as failure:
            self.fail(failure)

    def _say(self, answer: Any) -> None:
        head, self._started = (b"" if self._started else HEAD), True
        self._stream.send(head, _framed(answer))

    def reply(self, answer: Any) -> None:
        """Send the one answer of the call."""
        self.gone = None
        self._stream.answer(HEAD, _framed(answer), OK)

    def fail(self, failure: Exception) -> None:
        """End the call with what is wrong."""
        self.gone = None
        self._forget()
        if isinstance(failure, TimeoutError):
            failure = Expired("the call was past its deadline")
        told = refusal(failure)
        self._stream.finish((b"" if self._started else HEAD) + failed(told.grpc, str(told)))

    def _forget(self) -> None:
        """Keep nothing of what came, and of what comes."""
        self._stream.receive = _deaf
        self._inbox.clear()
        self._hold(0)

    def _left(self) -> None:
        self._forget()
        if self.gone is not None:
            self.gone()

    def _late(self) -> None:
        self.fail(Expired("the message did not arrive whole in time"))


def _deaf(_data: bytes, _ended: bool) -> None:
    """Take no notice of what still comes for a call that has ended."""


def _framed(answer: Any) -> bytes:
    body: bytes = answer.SerializeToString()
    return b"\0" + len(body).to_bytes(4, "big") + body
