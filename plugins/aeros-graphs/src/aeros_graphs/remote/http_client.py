"""A server that is asked: its address, what it is told of who asks, its open connections."""

from __future__ import annotations

import ipaddress
import os
import ssl
import threading
import time
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from aeros_core.errors import ConfigError
from aeros_graphs.remote.connection import Answer, Connection

__all__ = ["HttpClient", "Unreachable"]


class Unreachable(Exception):
    """A request that did not come to an answer; it may be sent again."""


class HttpClient:
    """A server to which requests are posted, over connections that are kept open.

    Args:
        url: ``http://`` or ``https://``, a host, a port, and where its API begins.
        token: Name of the environment variable with a bearer token.
        ca: Certificates to trust, PEM; None: those of the system.

    Raises:
        ConfigError: The address is none, the certificates cannot be read, or a token would
            be sent in the clear to another machine.
    """

    def __init__(self, url: str, token: str, ca: str | None):
        parts, self._host, port = _address(url)
        self._context = _context(ca) if parts.scheme == "https" else None
        self._port = port or (443 if self._context else 80)
        self._root = parts.path.rstrip("/")
        shown = f"[{self._host}]" if ":" in self._host else self._host
        said = {"Host": shown if port is None else f"{shown}:{port}", "Accept-Encoding": "identity"}
        said |= _authorised(url, self._host, token, secret=self._context is not None)
        self._headers = _lines(said)
        self._idle: list[Connection] = []
        self._lock = threading.Lock()

    def post(self, path: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        """Post a body, and return the answer, whatever its status.

        Raises:
            Unreachable: No whole answer came in time.
            AerosError: It is too large.
        """
        length = {"Content-Length": str(len(body))}
        head = f"POST {self._root}{path} HTTP/1.1\r\n{self._headers}{_lines({**headers, **length})}"
        try:
            return self._posted(f"{head}\r\n".encode(), body, time.monotonic() + timeout)
        except TimeoutError as error:
            raise Unreachable(f"no answer within {timeout:.3g} s") from error
        except OSError as error:
            told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise Unreachable(told) from error

    def _posted(self, head: bytes, body: bytes, deadline: float) -> Answer:
        if (kept := self._kept()) is not None:
            try:
                return self._asked(kept, head, body, deadline)
            except TimeoutError:
                raise
            except OSError:  # the server had closed what was kept open
                pass
        opened = Connection(self._host, self._port, self._context, deadline)
        return self._asked(opened, head, body, deadline)

    def _asked(self, connection: Connection, head: bytes, body: bytes, deadline: float) -> Answer:
        try:
            return connection.ask(head, body, deadline)
        finally:
            if connection.kept:
                with self._lock:
                    self._idle.append(connection)
            else:
                connection.close()

    def _kept(self) -> Connection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                kept = self._idle.pop()
            if kept.quiet:
                return kept
            kept.close()

    def close(self) -> None:
        """Close every connection that is kept open."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()


def _address(url: str) -> tuple[SplitResult, str, int | None]:
    """Return an address in parts, its host as the network knows it, and its port."""
    parts = urlsplit(url)
    try:
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError:
        host, port = "", None
    plain = url.isprintable() and parts.path.isascii() and " " not in f"{host}{parts.path}"
    if (
        parts.scheme not in ("http", "https")
        or not (host and plain)
        or parts.query
        or parts.username
    ):
        raise ConfigError(
            f"inferencer.url={url} is no address of a server",
            exists="http://HOST:PORT or https://HOST:PORT",
        )
    return parts, host, port


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


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
