"""Waiting at the door: a node's question for messages is held until there is one.

Flower's nodes ask for messages again and again; fifty that ask ten times a second keep a
SuperLink busy with nothing else. Here a node that says how long it is ready to wait, in a
header, is answered as soon as there is something for it, and asks once a round.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from aeros_flower.system import memory

__all__ = ["NODE", "WAIT", "LongPolling"]

Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
App: TypeAlias = Callable[[Event, Receive, Send], Awaitable[None]]

NODE, WAIT = "x-aeros-node", "x-aeros-wait"
"""Headers: the number of the node that asks, and how many seconds it is ready to wait."""

LONGEST = 20.0
"""Seconds a question is held at most; Flower's client waits 30 for an answer."""

_MOST = 100_000
"""Numbers of executors that are remembered at most; those that are there ask again."""

_DIGITS = 20

_KEYS = 1000
"""Keys that are remembered at most until somebody asks."""

_THERE = 412
"""How the SuperLink answers a node that comes with the key of one that is there."""

_ASKS = "/v1/fleet/pull-messages"
_BRINGS = ("/v1/fleet/push-messages", "/v1/fleet/push-object", "/v1/fleet/deactivate-node")
_COMES = ("/v1/fleet/activate-node",)


class LongPolling:
    """An ASGI application around the SuperLink's; both sides hear when something has come.

    Args:
        app: The SuperLink.

    Attributes:
        came: Set whenever a node has brought something, has come, or has gone.
        patient: Numbers of the nodes that have said how long they wait: executors.
        sent: Bytes of bodies sent to nodes.
        received: Bytes of bodies received from nodes.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[str, asyncio.Event] = {}
        self._due: Counter[str] = Counter()
        self.came = threading.Event()
        self.patient: set[int] = set()
        self.sent = self.received = 0
        self.taken: Counter[bytes] = Counter()

    taken: Counter[bytes]
    """How often somebody came with a key whose node is there, by key (PEM in base64)."""

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Hold a question for messages; tell the controller of what was brought."""
        self._loop = asyncio.get_running_loop()
        path = scope.get("path", "")
        if path == _ASKS:
            await self._hold({k.decode("latin1"): v for k, v in scope["headers"]})
        bodies = _Bodies(receive, send)
        await self._app(scope, bodies.receive, bodies.send)
        self.received += bodies.received
        self.sent += bodies.sent
        memory.passed(bodies.received + bodies.sent)
        if path in _COMES and bodies.status == _THERE:
            self._note(dict(scope["headers"]).get(b"flwr-public-key", b""))
        if path in _BRINGS or path in _COMES:
            self.came.set()

    def _note(self, key: bytes) -> None:
        if key in self.taken or len(self.taken) < _KEYS:
            self.taken[key] += 1

    def ring(self, node: int) -> None:
        """Let a node know, from any thread, that there is a message for it."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake, str(node))

    def _wake(self, node: str) -> None:
        self._due[node] += 1
        if node in self._waiting:
            self._waiting[node].set()

    async def _hold(self, headers: dict[str, bytes]) -> None:
        node = headers.get(NODE, b"").decode("latin1")
        try:
            seconds = min(float(headers.get(WAIT, b"0")), LONGEST)
        except ValueError:
            return
        self._remember(node)
        if node and seconds > 0 and not self._due[node]:
            event = self._waiting.setdefault(node, asyncio.Event())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), seconds)
            self._waiting.pop(node, None)
        if self._due[node] > 0:
            self._due[node] -= 1
        if not self._due[node]:
            del self._due[node]  # nodes come and go, names of theirs do not stay

    def _remember(self, node: str) -> None:
        if not node.isdecimal() or len(node) > _DIGITS or int(node) in self.patient:
            return
        if len(self.patient) >= _MOST:
            self.patient.clear()
        self.patient.add(int(node))


class _Bodies:
    """Counts the bytes of one request and its response."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.received = self.sent = self.status = 0

    async def receive(self) -> Event:
        event = await self._receive()
        self.received += len(event.get("body", b""))
        return event

    async def send(self, event: Event) -> None:
        self.status = event.get("status", self.status)
        self.sent += len(event.get("body", b""))
        await self._send(event)
