"""Whether a SuperLink can be trusted and talked to, said in words before Flower tries."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path

from aeros_core.errors import ConfigError
from aeros_flower.security.clock_skew import apart, offset
from aeros_flower.security.server_trust import (
    EARLY,
    EXPIRED,
    NO_PLAIN,
    distrust,
    unexpected_reply,
    unnamed,
)
from aeros_flower.security.tls_socket import TlsSocket
from aeros_flower.system.address import split

__all__ = [
    "AWAY", "ConnectionRejected", "answered", "authority", "check", "greet", "is_stranger",
    "silence",
]  # fmt: skip

_GREETINGS, _PAUSE = 3, 0.3
"""How often somebody is greeted who does not speak as asked, and seconds in between."""

AWAY = {502, 503, 504}
"""How a proxy answers whose server is away, and a controller that has too much to do."""

_HTTP = b"HTTP/"

_HEADERS = 2**14
"""Bytes that are read of an answer's headers, at most."""

_APART = 300.0
"""Seconds by which two clocks have to differ to be why a certificate is not valid."""

_STRANGE = {404, 405, 501}
"""How a server answers a question of which it does not know."""

_STATUS = len("HTTP/1.1 200")


class ConnectionRejected(ssl.SSLError):
    """The controller's certificate is none that the site's policy names."""


class _HungUp(Exception):
    """The other side ended the conversation before it said anything."""


class _Foreign(Exception):
    """The other side speaks, and something else."""


def greet(
    address: str,
    ca: Path | None,
    *,
    insecure: bool,
    seconds: float = 10.0,
    context: ssl.SSLContext | None = None,
) -> str:
    """Greet a SuperLink as a node would.

    Who hangs up before saying anything counts as absent: so does a proxy or a tunnel whose
    controller is away, or a controller that was killed in this moment.

    Args:
        address: ``HOST:PORT``.
        ca: Certificate of the CA to trust; None: those of this system.
        insecure: Whether to speak plain HTTP.
        seconds: To wait at most for each answer.
        context: What makes the connection; None: one that trusts ``ca``.

    Returns:
        Why it is not there (yet), in words; empty where it is.

    Raises:
        ConfigError: Somebody answers who is not to be trusted, or does not speak as asked.
    """
    context = None if insecure else context or _context(ca)
    for left in reversed(range(_GREETINGS)):
        try:
            return _greeted(address, context, ca, seconds)
        except _Foreign as error:  # it may have been cut off in mid-word
            if not left:
                raise unexpected_reply(address, str(error), tls=not insecure) from error
        except _HungUp:
            if _other_way(address, tls=not insecure, seconds=seconds):
                raise unexpected_reply(address, "", tls=not insecure) from None
            return f"{address} hangs up without a word, as a proxy does whose controller is away"
        time.sleep(_PAUSE)
    raise AssertionError("there is a last greeting")


def check(address: str, ca: Path | None, *, insecure: bool, seconds: float = 10.0) -> bool:
    """Tell whether a SuperLink answers at an address; see `greet`."""
    return not greet(address, ca, insecure=insecure, seconds=seconds)


def _greeted(address: str, context: ssl.SSLContext | None, ca: Path | None, seconds: float) -> str:
    host, port = split(address)
    try:
        line = socket.create_connection((host, port), timeout=seconds)
    except OSError:
        return silence(address)
    with line:
        try:
            if context is not None:
                return _secured(line, address, context, ca, seconds)
            status = _plain(line, address)
        except TimeoutError:
            return f"{address} takes connections and says nothing"
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError) as error:
            raise _HungUp from error
        except ssl.SSLError as error:
            if _is_away(error):
                return f"a proxy at {address} answers that who is behind it is away"
            raise _Foreign(error.reason or str(error)) from error
        except OSError as error:
            return f"{address} cannot be spoken to: {error}"
    return f"{address} answers {status}: who is behind it is away" if status in AWAY else ""


def _secured(
    line: socket.socket, address: str, context: ssl.SSLContext, ca: Path | None, seconds: float
) -> str:
    """Greet in TLS; a certificate that is not valid at the wrong time says so of the clock."""
    host, _ = split(address)
    try:
        with context.wrap_socket(line, server_hostname=host):
            return ""
    except ssl.SSLCertVerificationError as error:
        off = _offset(address, seconds) if error.verify_code in (EXPIRED, EARLY) else 0.0
        if abs(off) >= _APART:
            return apart(off)
        raise distrust(address, host, error, ca) from error
    except ConnectionRejected as error:
        raise unnamed(address, str(error)) from error


def _is_away(error: ssl.SSLError) -> bool:
    """Tell whether this is how a proxy that reads names answers for a server that is away."""
    reason = error.reason or ""
    return "INTERNAL_ERROR" in reason or "UNRECOGNIZED_NAME" in reason


def _other_way(address: str, *, tls: bool, seconds: float) -> bool:
    """Tell whether who hung up on TLS answers plain HTTP, or the other way round."""
    host, port = split(address)
    try:
        with socket.create_connection((host, port), timeout=seconds) as line:
            if tls:
                return _plain(line, address) not in AWAY
            with _anybody().wrap_socket(line, server_hostname=host):
                return True
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return False
    except ssl.SSLError as error:  # an alert: it refuses this node in the words of TLS
        return "ALERT" in (error.reason or "") and not _is_away(error)
    except (OSError, _HungUp, _Foreign):
        return False


def _offset(address: str, seconds: float) -> float:
    """Return by how many seconds this machine's clock is ahead of what a server says of its own.

    Its certificate is not looked at: nothing is believed but that clocks differ.
    """
    try:
        with (
            socket.create_connection(split(address), timeout=seconds) as line,
            _anybody().wrap_socket(line) as spoken,
        ):
            spoken.sendall(_question(address))
            said = b""
            while len(said) < _HEADERS and b"\r\n\r\n" not in said:
                if not (more := spoken.recv(_HEADERS)):
                    break
                said += more
    except OSError:
        return 0.0
    dates = [row for row in said.decode("latin1").split("\r\n") if row[:5].lower() == "date:"]
    return offset(dates[0][5:].strip()) if dates else 0.0


def _anybody() -> ssl.SSLContext:
    """Return a context to find out whether TLS is spoken: nothing is sent over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = TlsSocket
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def silence(address: str) -> str:
    """Return in words why nobody answers at an address that takes no connection."""
    host, port = split(address)
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return f"this machine knows no address of {host}"
    return f"nobody answers at {address}"


def is_stranger(address: str, seconds: float = 5.0) -> bool:
    """Tell whether who answers in plain HTTP is something else than a SuperLink.

    Args:
        address: ``HOST:PORT``, which `check` has found to answer.
        seconds: To wait at most for the answer.
    """
    try:
        with socket.create_connection(split(address), timeout=seconds) as line:
            return _plain(line, address) in _STRANGE
    except (OSError, _HungUp, _Foreign):
        return False  # it may be ending


def answered(status: int, method: str) -> str:
    """Return in words that a question was answered by a status of HTTP that is an error."""
    if status in _STRANGE:
        return f"who answers is no SuperLink, or a gate lets nobody ask it: {status} to {method}"
    ending = "is ending, or answers" if status >= 500 else "answers"
    return f"the SuperLink {ending} {status} to {method}"


def authority(ca: Path) -> bytes:
    """Return the certificate of a CA to trust.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return ca.read_bytes()
    except OSError as error:
        raise _unread(ca, error) from error


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise _unread(ca, error) from error
    context.sslsocket_class = TlsSocket
    return context


def _unread(ca: Path | None, error: OSError) -> ConfigError:
    return ConfigError(
        f"the CA certificate {ca} cannot be read: {error.strerror or error}",
        hint="the ca.pem that aeros certs make wrote: --ca FILE, or controller.ca=FILE",
    )


def _plain(line: socket.socket, address: str) -> int:
    """Ask after somebody's health; return the status of HTTP that is answered.

    Raises:
        OSError: The line broke.
        _HungUp: Nothing was said, or the beginning of an answer.
        _Foreign: What was said is no HTTP.
    """
    line.sendall(_question(address))
    said = b""
    while len(said) < _STATUS and (more := line.recv(_STATUS - len(said))):
        said += more
    if not said.startswith(_HTTP[: len(said)]):
        raise _Foreign(_spoken(said))
    if len(said) < _STATUS:
        raise _HungUp
    status = said[9:12]
    return int(status) if status.isdigit() else 0


def _question(address: str) -> bytes:
    return f"GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode()


def _spoken(said: bytes) -> str:
    """Return in words what is spoken where the first bytes are no HTTP."""
    if said[:1] in (b"\x15", b"\x00"):  # an alert of TLS; a frame of HTTP/2
        return NO_PLAIN
    text = said.decode("ascii", "replace").strip()
    return f"it says '{text}'" if text.isprintable() and said.isascii() else NO_PLAIN
