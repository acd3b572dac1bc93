"""The gRPC server: a port, its limits, and its end."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Mapping

import grpc

from aeros_serving.grpc.guard.listener import Guard
from aeros_serving.grpc.handlers import Handlers, Method
from aeros_serving.grpc.limits import GrpcLimits

__all__ = ["GrpcServer"]

_LONGEST_FOLDER = 70
"""Bytes of the name of the folder of temporary files; that of a socket has at most 104."""

_COMPRESSION = {
    "none": grpc.Compression.NoCompression,
    "gzip": grpc.Compression.Gzip,
    "deflate": grpc.Compression.Deflate,
}


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
        self._guard: Guard | None = None
        self._folder: tempfile.TemporaryDirectory[str]

    async def open(
        self, host: str, port: int, tls: ssl.SSLContext | None = None, *, shared: bool = False
    ) -> int:
        """Open the port; return its number.

        gRPC itself listens on a socket in a folder of this user; `Guard` has the port.

        Args:
            host: Address to listen on.
            port: Port; 0: any that is free.
            tls: Certificate and key; None: no TLS.
            shared: Whether other processes of this user may listen on the same port.

        Raises:
            OSError: The port cannot be opened.
        """
        server = grpc.aio.server(options=self._limits.options(), compression=self._compression)
        server.add_generic_rpc_handlers((self._handlers,))
        self._folder = private_folder()
        path = f"{self._folder.name}/grpc"
        server.add_insecure_port(f"unix:{path}")
        guard = Guard(path, self._limits)
        try:
            bound = await guard.open(host, port, tls, share=shared)
        except BaseException:
            self._folder.cleanup()
            raise
        self._handlers.accepted = guard.accepted
        await server.start()
        self._server, self._guard = server, guard
        return bound

    async def stop(self, grace: float) -> None:
        """Take no more calls, end streams that wait for a message, and then all others.

        Args:
            grace: Seconds that calls are given to be answered.
        """
        self._handlers.closing.set()
        if self._server is None or self._guard is None:
            return
        server, self._server = self._server, None
        self._guard.close()
        try:
            await asyncio.shield(server.stop(grace))
        finally:
            await self._guard.finish()
            self._folder.cleanup()


def private_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that this user alone can enter, short enough for the name of a socket."""
    near = len(tempfile.gettempdir()) <= _LONGEST_FOLDER
    return tempfile.TemporaryDirectory(prefix="aeros-grpc-", dir=None if near else "/tmp")  # noqa: S108
