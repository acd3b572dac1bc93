"""The server: models, two protocols, and their life from the first load to the last answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aeros_core.errors import ConfigError
from aeros_core.words import counted
from aeros_serving.batching import Batching
from aeros_serving.calls import Calls
from aeros_serving.config import LOOPBACK, Serving
from aeros_serving.failures import Refused
from aeros_serving.http1 import Connection
from aeros_serving.limits import Limits
from aeros_serving.rest import Rest
from aeros_serving.room import Room
from aeros_serving.served import Loader
from aeros_serving.shelf import Shelf

__all__ = ["TOKEN", "Security", "Server"]

_log = logging.getLogger(__name__)

_LAST = 1.0
"""Seconds in which clients may still take what they were told at the end."""

TOKEN = "AEROS_SERVING_TOKEN"  # noqa: S105 - the name of the variable
"""Environment variable with the bearer token."""


@dataclass(frozen=True, slots=True)
class Security:
    """Certificate and token of a server, read.

    Args:
        token: What requests have to bear; empty: nothing.
        context: TLS for the REST protocol; None: no TLS.
        h2: TLS for the gRPC protocol.
    """

    token: str
    context: ssl.SSLContext | None
    h2: ssl.SSLContext | None

    @classmethod
    def of(cls, options: Serving) -> Security:
        """Read what the options name.

        Raises:
            ConfigError: A file cannot be read, or the server would be open to everybody.
        """
        if bool(options.certificate) != bool(options.key):
            raise ConfigError("serving.certificate and serving.key go together")
        token = _token(options)
        if options.host not in LOOPBACK and not options.insecure:
            missing = [
                name
                for name, there in (
                    ("TLS (serving.certificate, serving.key)", options.certificate),
                    (f"a token (serving.token_file, or ${TOKEN})", token),
                )
                if not there
            ]
            if missing:
                raise ConfigError(
                    f"serving.host={options.host} would open the models to the network without"
                    f" {' and '.join(missing)}",
                    exists=f"without them: serving.host={LOOPBACK[0]}",
                    hint="give them, or type serving.insecure=true",
                )
        if not options.certificate:
            return cls(token, None, None)
        context, h2 = _context(options), _context(options)
        h2.set_alpn_protocols(["h2"])
        return cls(token, context, h2)


def _read(option: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes() if path else b""
    except OSError as error:
        raise ConfigError(f"{option}={path} cannot be read: {error.strerror}") from error


def _token(options: Serving) -> str:
    if not options.token_file:
        return os.environ.get(TOKEN, "").strip()
    token = _read("serving.token_file", options.token_file).decode("utf-8", "replace").strip()
    if not token.isascii() or not token:
        raise ConfigError(f"serving.token_file={options.token_file} holds no token")
    return token


def _context(options: Serving) -> ssl.SSLContext:
    _read("serving.certificate", options.certificate)
    _read("serving.key", options.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.certificate, options.key)
    except ssl.SSLError as error:
        raise ConfigError(
            f"serving.certificate={options.certificate} and serving.key={options.key} do not"
            f" make a certificate: {error.reason}"
        ) from error
    return context


class Server:
    """Serves models until it is told to end.

    Args:
        loader: Takes versions of models up.
        options: What `config.Serving` says.

    Raises:
        ConfigError: The options contradict one another, or a file cannot be read.
    """

    def __init__(self, loader: Loader, options: Serving) -> None:
        _check(options)
        self.options = options
        self._security = Security.of(options)
        self.shelf = Shelf(loader, options)
        self.http_port = self.grpc_port = -1
        self._connections: set[Any] = set()
        self._limits = Limits(
            options.max_body,
            options.read_timeout,
            options.idle_timeout,
            options.max_connections,
            Room(options.max_unfinished or 4 * options.max_body),
        )
        self._listening: list[asyncio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, models: Sequence[str]) -> None:
        """Load models, each ``NAME[:version|tag]``, and open the ports.

        Raises:
            AerosError: A model cannot be loaded; no port was opened.
            ConfigError: A port cannot be opened.
        """
        for model in models:
            name, _, ref = model.partition(":")
            try:
                await self.shelf.load(name, ref)
            except Refused as refused:
                raise ConfigError(str(refused), hint="aeros models list") from refused
        self._warn()
        if self.options.http_port >= 0:
            await self._open_http()
        if self.options.grpc_port >= 0:
            await self._open_grpc()
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(self._sweep()))
        if self.options.poll:
            self._tasks.append(loop.create_task(self.shelf.follow()))

    def _warn(self) -> None:
        """Name options for models that are not served; a client may load them later."""
        served = [slot.name for slot in self.shelf]
        for name in self.options.models:
            if name not in served:
                told = "serving.models.%s is for a model that is not served now; models: %s"
                _log.warning(told, name, ", ".join(served) or "none")

    async def _open_http(self) -> None:
        options = self.options
        rest = Rest(self.shelf, self._security.token, options.max_body, options.control)
        with _port("http_port", options.host, options.http_port):
            listening = await asyncio.get_running_loop().create_server(
                lambda: Connection(rest, self._limits, self._connections, rest.admits),
                options.host, options.http_port, ssl=self._security.context, backlog=1024,
            )  # fmt: skip
        self._listening.append(listening)
        self.http_port = listening.sockets[0].getsockname()[1]

    async def _open_grpc(self) -> None:
        from aeros_serving import http2, rpc

        options, methods = self.options, rpc.methods(self.shelf, self.options.control)
        calls = Calls(methods, self._security.token, self._limits)
        try:
            with _port("grpc_port", options.host, options.grpc_port):
                listening = await asyncio.get_running_loop().create_server(
                    lambda: http2.Connection(calls, self._limits, self._connections),
                    options.host, options.grpc_port, ssl=self._security.h2, backlog=1024,
                )  # fmt: skip
        except ConfigError:
            for other in self._listening:
                other.close()
            raise
        self._listening.append(listening)
        self.grpc_port = listening.sockets[0].getsockname()[1]

    async def _sweep(self) -> None:
        """Close connections that are too slow, or ask nothing."""
        loop = asyncio.get_running_loop()
        every = min(1.0, self.options.read_timeout / 4)
        while True:
            await asyncio.sleep(every)
            now = loop.time()
            for connection in list(self._connections):
                connection.sweep(now)

    async def stop(self) -> None:
        """Take no more requests, answer those that are there, and close."""
        for task in self._tasks:
            task.cancel()
        for listening in self._listening:
            listening.close()
        closing = asyncio.gather(self.shelf.drain(), self._quiet())
        await asyncio.wait([closing], timeout=self.options.drain)
        if given := self.shelf.give_up():
            told = "serving.drain=%g s are over: %s not answered, and told so (503, UNAVAILABLE)"
            _log.warning(told, self.options.drain, counted(given, "request"))
        await asyncio.wait([closing], timeout=_LAST)
        closing.cancel()
        for connection in list(self._connections):
            connection.finish()
        self.shelf.close()

    async def _quiet(self) -> None:
        """Return once every connection has been answered what it asked."""
        while self._connections:
            for connection in list(self._connections):
                connection.finish()
            await asyncio.sleep(0.01)


def _check(options: Serving) -> None:
    for name in ("", *options.models):
        Batching.of(options, name)
    for name in ("read_timeout", "idle_timeout", "max_body", "max_connections"):
        _within(options, name, getattr(options, name) > 0, "more than 0")
    for name in ("poll", "drain", "max_unfinished"):
        _within(options, name, getattr(options, name) >= 0, "0 or more")
    if options.max_unfinished and options.max_unfinished < options.max_body:
        raise ConfigError(
            f"serving.max_unfinished={options.max_unfinished} has no room for one request of"
            f" serving.max_body={options.max_body}",
            hint=f"serving.max_unfinished={4 * options.max_body}, or 0: four times max_body",
        )
    _within(options, "canary_share", 0 <= options.canary_share <= 1, "0 to 1")
    if bool(options.canary) != bool(options.canary_share):
        raise ConfigError(
            "serving.canary and serving.canary_share go together",
            hint="serving.canary=next serving.canary_share=0.1",
        )
    for name in ("http_port", "grpc_port"):
        told = "0 to 65535, 0 any that is free; -1: none"
        _within(options, name, -1 <= getattr(options, name) < 65536, told)
    if options.http_port < 0 and options.grpc_port < 0:
        raise ConfigError(
            "serving.http_port and serving.grpc_port are both -1: nothing would listen"
        )


def _within(options: Serving, name: str, fits: bool, exists: str) -> None:
    if not fits:  # and so is what is no number
        raise ConfigError(f"serving.{name}={getattr(options, name)} is not possible", exists=exists)


@contextlib.contextmanager
def _port(option: str, host: str, port: int) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(
            f"serving.{option}={port} cannot be opened on {host}: {why}",
            hint=f"end what listens there, or choose another: serving.{option}=0 takes a free one",
        ) from error
