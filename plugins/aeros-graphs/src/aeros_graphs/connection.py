"""Connections to one server: kept open, one request at a time on each."""

from __future__ import annotations

import http.client
import ipaddress
import os
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from aeros_core.errors import AerosError, ConfigError

__all__ = ["Answer", "Server", "Unreachable"]

LARGEST = 2**30
"""Bytes of an answer that are read."""


_PIECE = 2**16


class Unreachable(Exception):
    """A request that did not come to an answer; it may be sent again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Args:
        status: HTTP status.
        headers: By name, in lower case.
        body: The body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Server:
    """A server to which requests are posted.

    Args:
        url: ``http://`` or ``https://``, a host, a port, and where its API begins.
        token: Name of the environment variable with a bearer token.
        ca: Certificates to trust, PEM; None: those of the system.

    Raises:
        ConfigError: The address is none, the certificates cannot be read, or a token would
            be sent in the clear to another machine.
    """

    def __init__(self, url: str, token: str, ca: str | None):
        parts = urlsplit(url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.username:
            raise ConfigError(
                f"inferencer.url={url} is no address of a server",
                exists="http://HOST:PORT or https://HOST:PORT",
            )
        self._host, self._port, self.root = host, port, parts.path.rstrip("/")
        self._context = _context(ca) if parts.scheme == "https" else None
        self._headers = _authorised(url, host, token, secret=self._context is not None)
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def post(self, path: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        """Post a body, and return the answer, whatever its status.

        Raises:
            Unreachable: No whole answer came in time.
        """
        deadline = time.monotonic() + timeout
        kept = self._kept()
        try:
            return self._exchanged(kept or self._opened(), path, body, headers, deadline)
        except TimeoutError as error:
            raise Unreachable(f"no answer within {timeout:.3g} s") from error
        except (http.client.HTTPException, OSError) as error:
            if kept is None:
                raise Unreachable(_said(error)) from error
        try:  # the server had closed what was kept open
            return self._exchanged(self._opened(), path, body, headers, deadline)
        except (http.client.HTTPException, OSError) as error:
            raise Unreachable(_said(error)) from error

    def _exchanged(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        deadline: float,
    ) -> Answer:
        keep = False
        try:
            _hurry(connection, deadline)
            connection.request("POST", self.root + path, body, {**self._headers, **headers})
            _hurry(connection, deadline)
            reply = connection.getresponse()
            data = self._read(connection, reply, deadline)
            keep = not reply.will_close
            return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, data)
        finally:
            if keep:
                with self._lock:
                    self._idle.append(connection)
            else:
                connection.close()

    def _read(
        self,
        connection: http.client.HTTPConnection,
        reply: http.client.HTTPResponse,
        deadline: float,
    ) -> bytes:
        """Read piece by piece: a server that drips keeps no one longer than agreed."""
        pieces, size = [], 0
        while piece := reply.read1(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST:
                raise AerosError(f"{self._host} answers with more than {LARGEST:,} bytes")
            _hurry(connection, deadline)
        if reply.length:
            raise http.client.IncompleteRead(b"", reply.length)
        reply.close()  # read1 does not, and the connection would be taken for busy
        return b"".join(pieces)

    def _kept(self) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _opened(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port)
        return http.client.HTTPSConnection(self._host, self._port, context=self._context)

    def close(self) -> None:
        """Close every connection that is kept open."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()


def _hurry(connection: http.client.HTTPConnection, deadline: float) -> None:
    """Let what comes next on a connection take the time that is left."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.timeout = left
    if connection.sock is not None:
        connection.sock.settimeout(left)


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _context(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"inferencer.ca={ca} holds no certificates: {error}", hint="a file in PEM"
        ) from error


def _authorised(url: str, host: str, variable: str, *, secret: bool) -> dict[str, str]:
    token = os.environ.get(variable, "")
    if not token:
        return {}
    if not secret and not _loopback(host):
        raise ConfigError(
            f"the token in {variable} would travel in the clear to {url}",
            hint=f"inferencer.url=https://…, or unset {variable}",
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(f"what {variable} holds is no token", hint=f"export {variable}=…")
    return {"Authorization": f"Bearer {token}"}


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
