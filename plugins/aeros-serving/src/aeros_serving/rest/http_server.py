"""The web server of the REST API: uvicorn's protocol in the event loop of the caller."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from aeros_serving.rest.connection.protocol import HttpConnection
from aeros_serving.rest.connection.read_queue import ReadQueue
from aeros_serving.rest.connection.shared import HttpApi, Shared
from aeros_serving.rest.limits import Limits

__all__ = ["HttpServer"]

BACKLOG = 1024
"""Connections that may wait until they are accepted."""


async def _placeholder(scope: Any, receive: Any, send: Any) -> None:
    """Stand in for the application that uvicorn wants to be configured with."""


def _config() -> Config:
    """Return uvicorn's configuration of a connection."""
    config = Config(
        _placeholder, interface="asgi3", http=HttpConnection, ws="none", lifespan="off",
        log_config=None, access_log=False, proxy_headers=False, server_header=False,
        date_header=False,
    )  # fmt: skip
    config.load()
    return config


class HttpServer:
    """Serves HTTP/1.1 until it is stopped.

    Args:
        api: Answers requests.
        limits: What clients are held to.
    """

    def __init__(self, api: HttpApi, limits: Limits) -> None:
        self._api, self._limits = api, limits
        self._state = ServerState()
        self._sweeping: asyncio.Task[None] | None = None
        self._listening: asyncio.Server | None = None

    @property
    def connections(self) -> set[HttpConnection]:
        """The connections that are open."""
        return self._state.connections  # type: ignore[return-value]

    async def open(
        self, host: str, port: int, tls: ssl.SSLContext | None = None, share: bool = False
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
        loop = asyncio.get_running_loop()
        config = _config()
        self._shared = Shared(self._api, self._limits, config, self._state, loop, ReadQueue(loop))
        self._listening = await loop.create_server(
            lambda: HttpConnection(self._shared), host, port, ssl=tls, backlog=BACKLOG,
            reuse_port=share or None,
            ssl_handshake_timeout=self._limits.read_timeout if tls else None,
        )  # fmt: skip
        self._sweeping = loop.create_task(self._sweep())
        found: int = self._listening.sockets[0].getsockname()[1]
        return found

    async def _sweep(self) -> None:
        """Close connections that are too slow, or ask nothing."""
        every = min(1.0, self._limits.read_timeout / 4, self._limits.idle_timeout / 4)
        while True:
            await asyncio.sleep(every)
            now = self._shared.loop.time()
            for connection in list(self.connections):
                connection.sweep(now)

    async def stop(self, grace: float) -> None:
        """Stop listening, close idle connections, and wait for responses in progress.

        Args:
            grace: Seconds after which connections are closed whatever they wait for.
        """
        if self._listening is None or self._sweeping is None:
            return
        self._shared.closing = True
        self._listening.close()
        try:
            async with asyncio.timeout(grace):
                while self._shut():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pass
        finally:
            self._sweeping.cancel()
            for connection in list(self.connections):
                connection.transport.abort()

    def _shut(self) -> bool:
        for connection in list(self.connections):
            connection.shutdown()
        return bool(self.connections)
