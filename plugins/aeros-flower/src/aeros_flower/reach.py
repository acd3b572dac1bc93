"""Whether a SuperLink can be trusted and talked to, said in words before Flower tries."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path

from aeros_core.errors import ConfigError

__all__ = ["PeerRefused", "answered", "authority", "check", "is_stranger", "silence", "split"]

_GREETINGS, _PAUSE = 3, 0.3
"""How often somebody is greeted who hangs up without a word, and seconds in between."""

_STRANGE = {404, 405, 501}
"""How a server answers a question of which it does not know."""

_STATUS = len("HTTP/1.1 200")

_EXPIRED, _EARLY = 10, 9
_NAMES = {62, 64}
"""Codes of OpenSSL's X509_V_ERR_…: expired, not yet valid, another host or address."""


class PeerRefused(ssl.SSLError):
    """The controller's certificate is none that the site's policy names."""


class _HungUp(Exception):
    """The other side ended the conversation before it began."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def check(
    address: str,
    ca: Path | None,
    *,
    insecure: bool,
    seconds: float = 10.0,
    context: ssl.SSLContext | None = None,
) -> bool:
    """Greet a SuperLink as a node would.

    Args:
        address: ``HOST:PORT``.
        ca: Certificate of the CA to trust; None: those of this system.
        insecure: Whether to speak plain HTTP.
        seconds: To wait at most for each answer.
        context: What makes the connection; None: one that trusts ``ca``.

    Returns:
        False where nobody answers (yet).

    Raises:
        ConfigError: Somebody answers who is not to be trusted, or does not speak as asked.
    """
    context = None if insecure else context or _context(ca)
    for left in reversed(range(_GREETINGS)):
        try:
            return _greeted(address, context, ca, seconds)
        except _HungUp as error:  # it may have been killed in this moment
            if not left:
                raise _misunderstood(address, error.why, tls=not insecure) from error
        time.sleep(_PAUSE)
    raise AssertionError("there is a last greeting")


def _greeted(address: str, context: ssl.SSLContext | None, ca: Path | None, seconds: float) -> bool:
    host, port = split(address)
    try:
        with socket.create_connection((host, port), timeout=seconds) as line:
            if context is None:
                _plain(line, address)
            else:
                with context.wrap_socket(line, server_hostname=host):
                    pass
    except ssl.SSLCertVerificationError as error:
        raise _distrust(address, host, error, ca) from error
    except PeerRefused as error:
        raise _unnamed(address, str(error)) from error
    except (ssl.SSLError, ConnectionResetError) as error:
        raise _HungUp(getattr(error, "reason", None) or str(error)) from error
    except OSError:
        return False
    return True


def silence(address: str) -> str:
    """Return in words why nobody answers at an address, where `check` is False."""
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
    except (OSError, _HungUp):
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


def split(address: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``; an IPv6 address stands in brackets.

    Raises:
        ConfigError: It is no such thing.
    """
    host, _, port = address.rpartition(":")
    if (
        not host
        or not port.isdigit()
        or not 0 < int(port) < 65536
        or (":" in host) != ("[" in host)
    ):
        raise ConfigError(
            f"'{address}' is no address of a SuperLink", hint="HOST:PORT, or [::1]:PORT"
        )
    return host.strip("[]"), int(port)


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise _unread(ca, error) from error


def _unread(ca: Path | None, error: OSError) -> ConfigError:
    return ConfigError(
        f"the CA certificate {ca} cannot be read: {error.strerror or error}",
        hint="the ca.pem that aeros certs make wrote: --ca FILE, or controller.ca=FILE",
    )


def _plain(line: socket.socket, address: str) -> int:
    """Ask after somebody's health; return the status of HTTP that is answered."""
    line.sendall(f"GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
    said = b""
    while len(said) < _STATUS and (more := line.recv(_STATUS - len(said))):
        said += more
    if not said.startswith(b"HTTP/"):
        raise _HungUp("it does not answer in HTTP")
    status = said[9:12]
    return int(status) if status.isdigit() else 0


def _misunderstood(address: str, why: str, *, tls: bool) -> ConfigError:
    if tls:
        return ConfigError(
            f"{address} does not speak TLS: {why}",
            exists="a controller speaks TLS once it has controller.certificate and controller.key",
            hint="start it with both, or this node with --insecure on a network you trust; for a"
            " controller: controller.insecure=true",
        )
    return ConfigError(
        f"{address} does not speak plain HTTP: it wants TLS, or speaks gRPC as Flower before 1.40",
        hint="--ca FILE, the ca.pem beside the controller's certificate, and no --insecure; for a"
        " controller: controller.ca=FILE",
    )


def _unnamed(address: str, found: str) -> ConfigError:
    return ConfigError(
        f"the policy does not let the controller at {address} ask",
        exists=f"it has the certificate {found}",
        hint=f"controllers: [{{certificate: '{found}'}}] in the policy, if it is the one",
    )


def _distrust(
    address: str, host: str, error: ssl.SSLCertVerificationError, ca: Path | None
) -> ConfigError:
    code = error.verify_code
    if code in {_EXPIRED, _EARLY}:
        how = "has expired" if code == _EXPIRED else "is not valid yet"
        return ConfigError(
            f"the certificate of {address} {how}",
            hint="aeros certs renew beside the controller; if it is good, set this machine's clock",
        )
    if code in _NAMES:
        return ConfigError(
            f"the certificate of {address} is not for {host}",
            hint=f"aeros certs renew {host} beside the controller, or a name that it is for",
        )
    return ConfigError(
        f"the certificate of {address} is not from a CA that this node trusts: "
        f"{error.verify_message}",
        exists=f"trusted: {ca or 'the CAs of this system'}",
        hint="--ca FILE, the ca.pem that lies beside the controller's certificate",
    )
