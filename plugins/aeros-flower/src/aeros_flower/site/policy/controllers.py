"""Which controllers a site lets ask: by certificate, by key, by authority, or by address.

What counts is the certificate of the very connection that messages come through: it is looked
at in the handshake, before a byte is sent.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from aeros_core.errors import ConfigError
from aeros_flower.security.probe import ConnectionRejected
from aeros_flower.security.tls_socket import TlsSocket
from aeros_flower.system.address import split
from aeros_flower.system.network import is_loopback

__all__ = ["Controller", "ControllerRule", "check_address", "context", "matches"]

_KINDS = ("certificate", "key", "ca", "address")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Controller:
    """A controller as the executor sees it.

    Args:
        address: ``HOST:PORT`` that the executor connects to.
        certificate: SHA-256 of its certificate in hexadecimal; empty without TLS.
        key: SHA-256 of its public key (SubjectPublicKeyInfo), likewise.
        authorities: SHA-256 of each certificate that vouches for it, likewise.
    """

    address: str = ""
    certificate: str = ""
    key: str = ""
    authorities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ControllerRule:
    """One entry of ``controllers`` in a policy.

    Args:
        kind: certificate, key, ca or address.
        value: A SHA-256 in hexadecimal, or ``HOST:PORT``.
    """

    kind: str
    value: str

    @classmethod
    def read(cls, told: object) -> ControllerRule:
        """Return the entry that a policy file holds.

        Raises:
            ValueError: It is something else.
        """
        if not isinstance(told, dict) or len(told) != 1:
            raise ValueError(f"an entry must have one key and its value, got {told!r}")
        kind, value = next(iter(told.items()))
        if kind not in _KINDS:
            raise ValueError(f"'{kind}' is not a way to name a controller")
        if not isinstance(value, str):
            raise ValueError(f"{kind} must be a text, got {value!r}")  # noqa: TRY004 - of a file
        if kind == "address":
            try:
                split(value)
            except ConfigError as error:
                raise ValueError(error.asked) from None
            return cls(kind, value)
        digest = value.lower().removeprefix("sha256:").replace(":", "")
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"{kind} must be a SHA-256, 64 hexadecimal digits, got '{value}'")
        return cls(kind, digest)


def matches(peers: Sequence[ControllerRule], found: Controller) -> bool:
    """Tell whether a controller is one of those that a policy names; all are, where none is."""
    known = {
        "certificate": {found.certificate},
        "key": {found.key},
        "ca": set(found.authorities),
        "address": {found.address} if not found.certificate else set(),
    }
    return not peers or any(peer.value in known[peer.kind] - {""} for peer in peers)


def check_address(peers: Sequence[ControllerRule], address: str, *, insecure: bool) -> None:
    """Refuse an address at which no controller can be one that the policy names.

    Raises:
        ConfigError: The connection has no certificate, and its address is not named; or one is
            named by an address that other machines can have.
    """
    for peer in peers:
        if peer.kind == "address" and not is_loopback(split(peer.value)[0]):
            raise ConfigError(
                f"policy: controllers: the address {peer.value} does not tell who answers there",
                exists="addresses of this machine alone name a controller",
                hint="controllers: [{certificate: sha256:…}], and --ca FILE",
            )
    if insecure and not matches(peers, Controller(address)):
        raise ConfigError(
            f"the policy does not let the controller at {address} ask",
            exists=", ".join(f"{peer.kind} {peer.value}" for peer in peers),
            hint=f"controllers: [{{address: '{address}'}}] in the policy, or --ca FILE",
        )


def context(
    authority: bytes | None,
    peers: Sequence[ControllerRule],
    address: str,
    seen: Callable[[Controller], None],
) -> ssl.SSLContext:
    """Return what makes TLS connections to the controllers that a policy names alone.

    Args:
        authority: Certificates (PEM) that vouch for controllers; None: those of the system.
        peers: The policy's list.
        address: ``HOST:PORT`` that is connected to.
        seen: Called with each controller that was let through.
    """
    made = _Context(ssl.PROTOCOL_TLS_CLIENT)
    made.sslsocket_class = _Socket
    made.admit = lambda found: _admit(found, peers, seen)
    made.address = address
    if authority is None:
        made.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        made.load_verify_locations(cadata=authority.decode("ascii"))
    return made


def _admit(
    found: Controller, peers: Sequence[ControllerRule], seen: Callable[[Controller], None]
) -> None:
    if not matches(peers, found):
        raise ConnectionRejected(f"sha256:{found.certificate}")
    seen(found)


class _Context(ssl.SSLContext):
    """Looks at the certificate at the end of each handshake."""

    admit: Callable[[Controller], None]
    address: str


class _Socket(TlsSocket):
    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        context: Any = self.context
        context.admit(_controller(context.address, self))


def _controller(address: str, line: ssl.SSLSocket) -> Controller:
    made: Any = line._sslobj  # type: ignore[attr-defined]  # public from Python 3.13 on
    chain = [one.public_bytes(ssl._ssl.ENCODING_DER) for one in made.get_verified_chain()]  # type: ignore[attr-defined]
    leaf = x509.load_der_x509_certificate(chain[0])
    key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Controller(
        address,
        certificate=_digest(chain[0]),
        key=_digest(key),
        authorities=tuple(_digest(one) for one in chain[1:]),
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
