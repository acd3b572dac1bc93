"""Keys of nodes: ECDSA over P-384, as Flower's node authentication wants them.

A controller lists the public keys it admits as files ``NAME.pub`` in one folder; the file's
name is the node's. Adding a file admits a node, taking it away revokes it, both while a task
runs. The private key stays on its node.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
    load_ssh_private_key,
)

from aeros_core.errors import ConfigError

__all__ = [
    "Admitted",
    "canonical",
    "generate",
    "own",
    "private",
    "public_bytes",
    "secret_bytes",
    "write",
]

_UNREADABLE = (OSError, ValueError, TypeError, UnsupportedAlgorithm)


def generate(path: Path, listed: Path) -> None:
    """Make a node's key pair: the private key for its owner's eyes alone, and the public one.

    Args:
        path: Where the private key goes, mode 0600.
        listed: Where the public key goes; its name without ``.pub`` is the node's.

    Raises:
        ConfigError: One of the files is there already, or cannot be written.
    """
    for file in (path, listed):
        if file.exists() or file.is_symlink():
            raise ConfigError(
                f"{file} is there already", hint="another name, or aeros certs revoke NAME first"
            )
    key = ec.generate_private_key(ec.SECP384R1())
    # The form that flower-supernode reads
    ssh = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    write(path, ssh, 0o600)
    write(listed, public_bytes(key.public_key()), 0o644)


def secret_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PEM, not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as PEM, the form in which nodes send it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a node's private key, in the form of OpenSSH or in PKCS #8.

    Raises:
        ConfigError: It is no P-384 key, or others may read it.
    """
    own(path)
    try:
        data = path.read_bytes()
        ssh = data.startswith(b"-----BEGIN OPENSSH")
        key: object = (load_ssh_private_key if ssh else load_pem_private_key)(data, None)
    except _UNREADABLE as error:
        raise ConfigError(
            f"the key {path} cannot be read: {error}", hint="aeros certs node NAME makes one"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP384R1):
        raise ConfigError(f"{path} is not a P-384 key", hint="aeros certs node NAME makes one")
    return key


def own(path: Path) -> None:
    """Make sure that a secret file is for its owner's eyes alone.

    Raises:
        ConfigError: It is not there, or others may read it.
    """
    try:
        open_to_others = path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    except OSError as error:
        raise ConfigError(
            f"the key {path} cannot be read: {error.strerror}",
            hint="aeros certs makes keys; aeros certs --help",
        ) from error
    if open_to_others:
        raise ConfigError(f"others may read the key {path}", hint=f"chmod 600 {path}")


class Admitted:
    """The nodes whose public keys lie in a folder; looked at again while a task runs.

    Args:
        folder: Holds ``NAME.pub``.
        every: Seconds after which a change in the folder is seen at the latest.

    Raises:
        ConfigError: The folder holds no key, a file is no P-384 key, or anybody may write.
    """

    def __init__(self, folder: Path, every: float = 1.0) -> None:
        self._folder, self._every = folder, every
        self._names = _read(folder)
        self._keys = {pem: _public(pem, folder) for pem in self._names}
        self._seen, self._looked = _signature(folder), time.monotonic()
        if not self._names:
            raise ConfigError(
                f"{folder} holds no key of a node: nobody could take part",
                exists="files NAME.pub as aeros certs node NAME writes them",
                hint="aeros certs node NAME, or controller.admitted=<folder>",
            )

    def names(self) -> Mapping[bytes, str]:
        """Return the admitted nodes now, ``{public key as PEM: name}``."""
        if time.monotonic() - self._looked >= self._every:
            self._look()
        return self._names

    def key(self, pem: bytes) -> ec.EllipticCurvePublicKey | None:
        """Return the public key of an admitted node; None for any other."""
        return self._keys.get(pem) if pem in self.names() else None

    def _look(self) -> None:
        self._looked, now = time.monotonic(), _signature(self._folder)
        if now == self._seen:
            return
        try:
            names = _read(self._folder)
            self._keys = {pem: _public(pem, self._folder) for pem in names}
        except ConfigError:  # a file that is being written, or a damaged one: nobody new,
            here = {name for name, _ in now}  # and who was taken away is out all the same
            self._names = {pem: n for pem, n in self._names.items() if f"{n}.pub" in here}
            return
        self._names, self._seen = names, now


def _read(folder: Path) -> dict[bytes, str]:
    files = sorted(folder.glob("*.pub")) if folder.is_dir() else []
    for path in (folder, *files) if files else ():
        if path.stat().st_mode & stat.S_IWOTH:
            raise ConfigError(f"anybody may write {path}", hint=f"chmod o-w {path}")
    found: dict[bytes, str] = {}
    for path in files:
        pem = canonical(path)
        if pem in found:
            raise ConfigError(
                f"{path} holds the key of {found[pem]}.pub: a key has one name",
                hint=f"remove {path} or {found[pem]}.pub",
            )
        found[pem] = path.stem
    return found


def _signature(folder: Path) -> tuple[tuple[str, int], ...]:
    try:
        entries = [e for e in os.scandir(folder) if e.name.endswith(".pub")]
        return tuple(sorted((e.name, e.stat().st_mtime_ns) for e in entries))
    except OSError:
        return ()


def canonical(path: Path) -> bytes:
    """Return the public key in a file as PEM in the one form in which it is compared.

    Raises:
        ConfigError: There is no P-384 key.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    pem = public_bytes(_public(data, path))
    if data.removesuffix(b"\n") != pem.removesuffix(b"\n"):
        raise ConfigError(
            f"{path} holds more than a public key: what is not understood is not passed over",
            exists="the lines from BEGIN PUBLIC KEY to END PUBLIC KEY, as aeros certs writes them",
            hint=f"remove the other lines of {path}",
        )
    return pem


def _public(pem: bytes, path: Path) -> ec.EllipticCurvePublicKey:
    try:
        key = load_pem_public_key(pem)
    except _UNREADABLE as error:
        raise ConfigError(f"{path} is no public key: {error}", hint=f"remove {path}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise ConfigError(f"{path} is not a P-384 key", hint=f"remove {path}")
    return key


def write(path: Path, data: bytes, mode: int) -> None:
    """Write a new file that has its mode from the first instant.

    Raises:
        ConfigError: It is there already, or cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}", hint="--folder <another folder>"
        ) from error
