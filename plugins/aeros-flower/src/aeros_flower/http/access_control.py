"""What stands in front of the SuperLink: who may reach which of its paths.

A stock SuperLink serves the Fleet API (nodes), the Control API (users) and the Runtime API
(server programs) on one port, and node authentication guards the first alone. Through the
gate one reaches the Fleet API and ``/health``, and nothing else: the controller's own process
talks to the SuperLink's state, not to its port. Where keys of nodes are admitted, a request
is read only after its signature was checked.
"""

from __future__ import annotations

import asyncio
import binascii
import re
from base64 import b64decode
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from aeros_flower.http.status_codes import CLOCK, KEY, WHY
from aeros_flower.security.keys import Admitted

__all__ = ["AccessControl", "App", "Limits"]

Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
App: TypeAlias = Callable[[Event, Receive, Send], Awaitable[None]]

_FLEET = re.compile(r"/v1/fleet/[a-z-]+")
_ENROL = ("/v1/fleet/register-node", "/v1/fleet/unregister-node")
_HOST = re.compile(rb"[A-Za-z0-9._:\[\]-]*")
_FRESH = 300.0
"""Seconds by which a node's clock may be off; Flower allows 10 more for late ones."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take.

    Args:
        body: Bytes of a request. Flower cuts messages into objects of 5 MB, 100 MB at most
            where ``FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE`` says so.
        patience: Seconds that a request may take to arrive, beside its bytes.
        slowest: Bytes a second below which a body comes too slowly.
        bodies: Requests that are read at the same time.
    """

    body: int = 128 * 2**20
    patience: float = 20.0
    slowest: float = 64 * 2**10
    bodies: int = 256


class _Refused(Exception):
    """A request that goes no further."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class AccessControl:
    """An ASGI application around the SuperLink's.

    Args:
        app: The SuperLink.
        admitted: Keys of the nodes that may take part; None: whoever reaches the port may.
        enrol: Called with key (PEM) and name of an admitted node before its first request,
            to make it known to the SuperLink.
        expel: Called with the key of a node that was admitted and is not any more, at its
            first request since.
        limits: What a request may take.
        refused: Told of each refusal: why (``path``, ``key``, ``clock``, ``size``, ``slow``,
            ``busy``) and from which address.
    """

    def __init__(
        self,
        app: App,
        *,
        admitted: Admitted | None = None,
        enrol: Callable[[bytes, str], None] | None = None,
        expel: Callable[[bytes], None] | None = None,
        limits: Limits = Limits(),
        refused: Callable[[str, str], None] | None = None,
    ) -> None:
        self._app, self._admitted = app, admitted
        self._enrol, self._expel = enrol, expel
        self._limits, self._refused = limits, refused
        self._enrolled: set[bytes] = set()
        self._reading = 0

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with a status and nothing else."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            passed = await self._passed(scope, receive)
        except _Refused as refusal:
            await self._refuse(scope, send, refusal)
            return
        await self._app(scope, passed, send)

    async def _passed(self, scope: Event, receive: Receive) -> Receive:
        """Return what a request is to be read from.

        Raises:
            _Refused: It goes no further.
        """
        if scope["type"] != "http":
            raise _Refused(404, "path")
        headers = _headers(scope)
        self._check(scope, headers)
        if self._reading >= self._limits.bodies:
            raise _Refused(503, "busy")
        self._reading += 1
        try:
            return await self._read(headers, receive)
        finally:
            self._reading -= 1

    def _check(self, scope: Event, headers: dict[bytes, bytes]) -> None:
        path = scope["path"]
        if scope.get("root_path") or not _HOST.fullmatch(headers.get(b"host", b"")):
            raise _Refused(404, "path")
        if path == "/health" and scope["method"] == "GET":
            return
        if scope["method"] != "POST" or not _FLEET.fullmatch(path):
            raise _Refused(404, "path")
        if self._admitted is not None:
            if path in _ENROL:
                raise _Refused(401, KEY)
            self._authenticate(self._admitted, headers)

    def _authenticate(self, admitted: Admitted, headers: dict[bytes, bytes]) -> None:
        pem = _decoded(headers.get(b"flwr-public-key", b""))
        key = admitted.key(pem)
        if key is None:
            if pem in self._enrolled and self._expel is not None:
                self._expel(pem)
            self._enrolled.discard(pem)
        if key is None or not (stamp := _signed(key, headers)):
            raise _Refused(401, KEY)
        if abs((datetime.now(UTC) - stamp).total_seconds()) >= _FRESH:
            raise _Refused(401, CLOCK)
        if self._enrol is not None and pem not in self._enrolled:
            self._enrol(pem, admitted.names()[pem])
            self._enrolled.add(pem)

    async def _read(self, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        """Read a whole body within its limits, and return it as something to be received."""
        said = headers.get(b"content-length", b"")
        if said and (not said.isdigit() or int(said) > self._limits.body):
            raise _Refused(413, "size")
        clock = asyncio.get_running_loop().time
        began, parts, size, more = clock(), [], 0, True
        while more:
            left = began + self._limits.patience + size / self._limits.slowest - clock()
            try:
                event = await asyncio.wait_for(receive(), max(left, 0))
            except TimeoutError:
                raise _Refused(408, "slow") from None
            if event["type"] == "http.disconnect":
                return _replay(event, receive)
            parts.append(event.get("body", b""))
            size += len(parts[-1])
            more = event.get("more_body", False)
            if size > self._limits.body:
                raise _Refused(413, "size")
        return _replay({"type": "http.request", "body": b"".join(parts)}, receive)

    async def _refuse(self, scope: Event, send: Send, refusal: _Refused) -> None:
        if self._refused is not None:
            self._refused(refusal.why, (scope.get("client") or ("unknown",))[0])
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        bare = [(b"content-length", b"0"), (b"connection", b"close")]
        if refusal.status == 401:
            bare.append((WHY.encode(), refusal.why.encode()))
        await send({"type": "http.response.start", "status": refusal.status, "headers": bare})
        await send({"type": "http.response.body", "body": b""})


def _headers(scope: Event) -> dict[bytes, bytes]:
    """Return the headers; of one that comes twice nothing, so that nobody reads another half."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        found[name] = b"/twice/" if name in found else value
    return found


def _decoded(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _signed(key: ec.EllipticCurvePublicKey, headers: dict[bytes, bytes]) -> datetime | None:
    """Return the time of a request that it is signed with, as SuperNodes do it; None: it is not."""
    stamp, signature = headers.get(b"flwr-timestamp", b""), headers.get(b"flwr-signature", b"")
    try:
        key.verify(_decoded(signature), stamp, ec.ECDSA(hashes.SHA256()))
        then = datetime.fromisoformat(stamp.decode("ascii"))
    except (InvalidSignature, ValueError):
        return None
    return then if then.tzinfo else None


def _replay(event: Event, receive: Receive) -> Receive:
    waiting = [event]

    async def again() -> Event:
        return waiting.pop() if waiting else await receive()

    return again
