"""The public port of the gRPC protocol: a guard in front of `grpc.aio`.

grpc-core parses the frames of every client as they come, before any token is looked at, and a
flood of small ones makes all others wait. The guard has the port and the TLS; behind it gRPC
listens on a Unix socket. Bytes are passed on as they are, in turns of the event loop that all
connections share; what floods is closed (ADR 0017).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from aeros_serving.grpc.guard.relay import ClientConnection, Shared
from aeros_serving.grpc.limits import GrpcLimits

__all__ = ["Guard"]

BACKLOG = 1024
"""Connections that may wait until they are accepted."""

GOING = 0.5
"""Seconds that clients have to take what was sent to them last."""


class Guard:
    """Listens for clients, and connects each to gRPC.

    Args:
        path: Unix socket that gRPC listens on.
        limits: Bounds of what clients may send and hold.

    Attributes:
        accepted: To be called when a call has reached a handler.
    """

    def __init__(self, path: str, limits: GrpcLimits) -> None:
        self._path, self._limits = path, limits
        self._connections: dict[ClientConnection, None] = {}
        self._listening: asyncio.Server | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self.accepted: Callable[[], None] = _ignore

    async def open(
        self, host: str, port: int, tls: ssl.SSLContext | None, *, share: bool = False
    ) -> int:
        """Listen, and return the port.

        Args:
            host: Address or name.
            port: 0: any that is free.
            tls: Certificate and key; None: no TLS.
            share: Whether other processes listen on the same port.

        Raises:
            OSError: The port cannot be opened.
        """
        limits, loop = self._limits, asyncio.get_running_loop()
        shared = Shared(self, self._path, limits)
        self.accepted = shared.turns.accept
        self._listening = await loop.create_server(
            lambda: ClientConnection(shared), host, port, ssl=tls, backlog=BACKLOG,
            reuse_port=share or None,
            ssl_handshake_timeout=limits.read_timeout if tls else None,
        )  # fmt: skip
        self._sweeping = loop.create_task(self._sweep())
        found: int = self._listening.sockets[0].getsockname()[1]
        return found

    def opened(self, connection: ClientConnection) -> bool:
        """Note a connection; return whether there is room for it.

        Beyond the limit it takes the place of the one that has asked nothing for longest.
        """
        if len(self._connections) >= self._limits.max_connections:
            idle = next((each for each in self._connections if each.idle), None)
            if idle is None:
                return False
            idle.abort()
            self._connections.pop(idle, None)
        self._connections[connection] = None
        return True

    def closed(self, connection: ClientConnection) -> None:
        """Forget a connection."""
        self._connections.pop(connection, None)

    async def _sweep(self) -> None:
        """Close connections that are too slow."""
        limits, loop = self._limits, asyncio.get_running_loop()
        every = min(1.0, limits.read_timeout / 4, limits.idle_timeout / 4)
        while True:
            await asyncio.sleep(every)
            for connection in [each for each in self._connections if each.late(loop.time())]:
                connection.abort()

    def close(self) -> None:
        """Listen no more, and close connections that have not begun."""
        if self._listening is not None:
            self._listening.close()
        for connection in list(self._connections):
            connection.end_unless_begun()

    async def finish(self) -> None:
        """Close all connections, whatever they wait for, once gRPC has ended.

        What gRPC sent last is still to pass, so those that it closes are waited for.
        """
        if self._sweeping is not None:
            self._sweeping.cancel()
        until = asyncio.get_running_loop().time() + GOING
        while asyncio.get_running_loop().time() < until:
            if not any(each.open for each in self._connections):
                break
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.abort()


def _ignore() -> None:
    """Do nothing: the port is not open."""
