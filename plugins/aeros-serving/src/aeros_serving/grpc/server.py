"""The gRPC server: a port, its limits, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import grpc

from aeros_serving.grpc.handlers import Handlers, Method

__all__ = ["GrpcLimits", "GrpcServer"]

_METADATA = 16 * 2**10
"""Bytes of a call's headers."""

_STREAMS = 100
"""Calls of a connection at the same time."""

_SILENT = 4
"""Connections, per one of `GrpcLimits.max_connections`: those that never ask anything count until
they are closed for it, and must not keep a health probe out."""


_COMPRESSION = {
    "none": grpc.Compression.NoCompression,
    "gzip": grpc.Compression.Gzip,
    "deflate": grpc.Compression.Deflate,
}


@dataclass(frozen=True, slots=True)
class GrpcLimits:
    """Bounds of what clients may send and hold.

    Args:
        max_body: Bytes of a message, compressed or not.
        max_connections: Calls whose message has not arrived, at the same time.
        read_timeout: Seconds in which a connection has to be made, TLS included, and in which
            the message of a call has to arrive.
        idle_timeout: Seconds after which a connection without calls is closed.
    """

    max_body: int
    max_connections: int
    read_timeout: float
    idle_timeout: float

    def options(self, *, shared: bool) -> list[tuple[str, int]]:
        """Return these bounds as channel arguments of gRPC.

        Args:
            shared: Whether other processes listen on the same port.
        """
        return [
            ("grpc.max_receive_message_length", self.max_body),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_allowed_incoming_connections", _SILENT * self.max_connections),
            ("grpc.max_concurrent_streams", _STREAMS),
            ("grpc.max_metadata_size", _METADATA),
            ("grpc.absolute_max_metadata_size", _METADATA),
            ("grpc.server_handshake_timeout_ms", _ms(self.read_timeout)),
            ("grpc.max_connection_idle_ms", _ms(self.idle_timeout)),
            ("grpc.so_reuseport", int(shared)),
        ]


def _ms(seconds: float) -> int:
    return max(1, min(int(seconds * 1000), 2**31 - 1))


class GrpcServer:
    """Serves methods on one port.

    Args:
        methods: By path, ``/package.Service/Method``.
        token: What calls have to bear; empty: nothing.
        limits: Bounds of what clients may send and hold.
        compression: ``none``, ``gzip`` or ``deflate``: how answers are compressed for clients
            that take it.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        token: str,
        limits: GrpcLimits,
        compression: str = "none",
    ) -> None:
        self._limits = limits
        self._compression = _COMPRESSION[compression]
        self._handlers = Handlers(methods, token, limits.read_timeout, limits.max_connections)
        self._server: grpc.aio.Server | None = None

    async def open(
        self,
        host: str,
        port: int,
        pem: tuple[bytes, bytes] | None = None,
        *,
        shared: bool = False,
    ) -> int:
        """Open the port; return its number.

        Args:
            host: Address to listen on.
            port: Port; 0: any that is free.
            pem: Private key and certificate chain; None: no TLS.
            shared: Whether other processes of this user may listen on the same port.

        Raises:
            RuntimeError: The port cannot be opened.
        """
        server = grpc.aio.server(
            options=self._limits.options(shared=shared),
            compression=self._compression,
        )
        server.add_generic_rpc_handlers((self._handlers,))
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if pem is None:
            bound: int = server.add_insecure_port(address)
        else:
            bound = server.add_secure_port(address, grpc.ssl_server_credentials([pem]))
        await server.start()
        self._server = server
        return bound

    async def stop(self, grace: float) -> None:
        """Take no more calls, end streams that wait for a message, and then all others.

        Args:
            grace: Seconds that calls are given to be answered.
        """
        self._handlers.closing.set()
        if self._server is not None:
            server, self._server = self._server, None
            await asyncio.shield(server.stop(grace))
