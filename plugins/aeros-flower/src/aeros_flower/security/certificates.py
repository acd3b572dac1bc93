"""A development CA: one root, certificates of servers, and how long they last.

For trying out and for closed test beds. A production site has a CA of its own; the
controller takes any certificate and key in PEM.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aeros_core.errors import ConfigError
from aeros_flower.security import keys

__all__ = ["Authority", "Certificate", "read", "usable"]

LOCAL = ("localhost", "127.0.0.1", "::1")
"""Names that every server certificate holds beside those that are asked for."""

_SKEW = timedelta(minutes=5)
"""By how much a node's clock may be behind when it first sees a certificate."""


_HOST = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*")


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a person wants to know of a certificate.

    Args:
        path: Where it lies.
        names: Hosts and addresses it is for; empty for a CA.
        expires: When it ends, UTC.
        days: Whole days until then; negative once it is over.
    """

    path: Path
    names: tuple[str, ...]
    expires: datetime
    days: int


class Authority:
    """A folder that holds a CA and what it signed.

    ``ca.pem`` is what nodes need; ``ca.key`` and ``server.key`` are readable by their owner
    alone; ``nodes/`` lists public keys of nodes.

    Args:
        folder: Where all this lies.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca, self.ca_key = folder / "ca.pem", folder / "ca.key"
        self.server, self.server_key = folder / "server.pem", folder / "server.key"
        self.nodes, self.revoked = folder / "nodes", folder / "revoked"

    def make(self, names: Sequence[str], days: int, renew: bool = False) -> None:
        """Make the server's certificate, and the CA if there is none.

        Args:
            names: Host names and addresses by which nodes reach the server; with ``renew``
                those of the old certificate if empty.
            days: How long it lasts; the CA ten times as long.
            renew: Whether there is one that is to be replaced.

        Raises:
            ConfigError: A name is none, a certificate is there already or (``renew``) is
                not, or a file cannot be read or written.
        """
        if days < 1:
            raise ConfigError(f"--days {days} is no time", hint="--days 365")
        there = self.server.exists() or self.server_key.exists()
        if there and not renew:
            raise ConfigError(f"{self.server} is there already", hint="aeros certs renew")
        if renew and not (there and self.ca.exists()):
            raise ConfigError(f"{self.server} is not there", hint="aeros certs make HOST …")
        wanted = [*names] or (list(read(self.server).names) if renew else [])
        sans = [_san(name) for name in dict.fromkeys([*wanted, *LOCAL])]
        if not self.ca.exists():
            self._make_ca(10 * days)
        key = ec.generate_private_key(ec.SECP256R1())
        signed = self._signed(key.public_key(), sans, days)
        for path, data, mode in (
            (self.server_key, keys.secret_bytes(key), 0o600),
            (self.server, signed.public_bytes(Encoding.PEM), 0o644),
        ):
            path.unlink(missing_ok=True)
            keys.write(path, data, mode)

    def node(self, name: str) -> tuple[Path, Path]:
        """Make a node's key pair and list it; return where the two keys are.

        The private key of a node of this name that was revoked goes where its public one is.

        Raises:
            ConfigError: The name is none, or taken.
        """
        secret, listed = self.folder / f"{_plain(name)}.key", self.nodes / f"{name}.pub"
        gone = self.revoked / f"{name}.pub"
        if gone.exists() and not listed.exists():
            with contextlib.suppress(FileNotFoundError):  # it was made elsewhere, or went there
                secret.replace(gone.with_suffix(".key"))
        keys.generate(secret, listed)
        return secret, listed

    def admit(self, name: str, public: Path) -> Path:
        """List a public key that a node made for itself; return where.

        Raises:
            ConfigError: The name is none or taken, or there is no P-384 key in the file.
        """
        listed = self.nodes / f"{_plain(name)}.pub"
        if listed.exists():
            raise ConfigError(
                f"a node '{name}' is admitted already",
                exists=str(listed),
                hint=f"aeros certs revoke {name}, then this command again; or another name",
            )
        keys.write(listed, keys.canonical(public), 0o644)
        return listed

    def revoke(self, name: str) -> Path:
        """Take a node from the list; return where its public key went.

        Raises:
            ConfigError: There is no such node.
        """
        listed, gone = self.nodes / f"{_plain(name)}.pub", self.revoked / f"{name}.pub"
        if not listed.exists():
            raise ConfigError(
                f"no node '{name}' is admitted",
                exists=", ".join(sorted(path.stem for path in self.nodes.glob("*.pub"))) or "none",
            )
        gone.parent.mkdir(mode=0o700, exist_ok=True)
        return listed.replace(gone)

    def _make_ca(self, days: int) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "aeros development CA")])
        usage = _usage(key_cert_sign=True, crl_sign=True)
        certificate = (
            _builder(name, name, key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        keys.write(self.ca_key, keys.secret_bytes(key), 0o600)
        keys.write(self.ca, certificate.public_bytes(Encoding.PEM), 0o644)

    def _signed(
        self, key: ec.EllipticCurvePublicKey, sans: Sequence[x509.GeneralName], days: int
    ) -> x509.Certificate:
        ca, secret = _certificate(self.ca), _secret(self.ca_key)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(secret.public_key())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "aeros server")])
        return (
            _builder(name, ca.subject, key, days)
            .add_extension(x509.SubjectAlternativeName(sans), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(issuer, critical=False)
            .sign(secret, hashes.SHA256())
        )


def read(path: Path) -> Certificate:
    """Return what a certificate in PEM says of itself.

    Raises:
        ConfigError: The file cannot be read, or is no certificate.
    """
    certificate = _certificate(path)
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [str(entry.value) for entry in found]
    except x509.ExtensionNotFound:
        names = []
    expires = certificate.not_valid_after_utc
    return Certificate(path, tuple(names), expires, (expires - datetime.now(UTC)).days)


def usable(certificate: Path, key: Path) -> Certificate:
    """Return a server's certificate, once it is sure that it can be served.

    Raises:
        ConfigError: It has expired or is not valid yet, the key is not its key, others may
            read the key, or one of the files cannot be read.
    """
    found, there = read(certificate), _certificate(certificate)
    if found.expires <= datetime.now(UTC):
        raise ConfigError(
            f"the certificate {certificate} expired on {found.expires:%Y-%m-%d %H:%M} UTC",
            hint="aeros certs renew, or a new one from your CA",
        )
    if there.not_valid_before_utc > datetime.now(UTC):
        raise ConfigError(
            f"the certificate {certificate} is not valid before"
            f" {there.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            hint="set this machine's clock",
        )
    if _secret(key).public_key() != there.public_key():
        raise ConfigError(
            f"{key} is not the key of the certificate {certificate}",
            hint="controller.certificate and controller.key belong together",
        )
    return found


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(**granted: bool) -> x509.KeyUsage:
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: granted.get(name, False) for name in every})


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not _HOST.fullmatch(name):
        raise ConfigError(
            f"'{name}' is neither a host name nor an address",
            hint="aeros certs make aeros.example.org 192.0.2.7",
        )
    return x509.DNSName(name)


def _plain(name: str) -> str:
    if not name or not all(sign.isalnum() or sign in "-_." for sign in name) or name[0] == ".":
        raise ConfigError(
            f"'{name}' is no name of a node",
            exists="letters, digits, - _ and .",
            hint="aeros certs node edge-1",
        )
    if name in {"ca", "server"}:
        raise ConfigError(f"'{name}' is taken", hint="aeros certs node edge-1")
    return name


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the certificate {path} cannot be read: {error}", hint="aeros certs make HOST …"
        ) from error


def _secret(path: Path) -> ec.EllipticCurvePrivateKey:
    keys.own(path)
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"the key {path} cannot be read: {error}", hint="aeros certs make HOST …"
        ) from error
    return key  # type: ignore[return-value]  # a site's own may be RSA: only compared then
