"""Ed25519 keys (RFC 8032): made, read, used for signing and for verifying.

A key is known by the SHA-256 of its 32 public bytes, never by the name of its file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import replace
from datetime import date
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from aeros_algorithms.keys import key_file
from aeros_algorithms.keys.trust_folder import check_owned
from aeros_algorithms.wheels.signed_statement import Refused, canonical
from aeros_core.errors import ConfigError
from aeros_core.records import Algorithm

__all__ = [
    "PASSPHRASE",
    "check",
    "files",
    "generate",
    "identity",
    "private",
    "public",
    "sign",
    "trusted",
]

PASSPHRASE = "AEROS_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable
"""Environment variable: encrypts the private key that is made, opens the one that is read."""

_UNREADABLE = (OSError, ValueError, TypeError, UnsupportedAlgorithm)


def generate(path: Path, expires: date | None = None) -> str:
    """Make a key pair, ``path`` for its owner's eyes alone and ``path.pub``; return its id.

    Args:
        path: Where the private key goes.
        expires: Its last day, written above the public key; None: it has none.

    Raises:
        ConfigError: One of the files is there already, or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, _encryption())
    told = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    beside = path.with_name(path.name + ".pub")
    for file in (path, beside):
        if file.exists() or file.is_symlink():
            raise ConfigError(
                f"{file} is there already", hint="aeros algorithms keygen <another file>"
            )
    _write(path, secret, 0o600)
    _write(beside, (f"expires: {expires}\n".encode() if expires else b"") + told, 0o644)
    return identity(key.public_key())


def private(path: Path) -> Ed25519PrivateKey:
    """Read a private key.

    Raises:
        ConfigError: It is no Ed25519 key, others may read it, or its passphrase is missing
            or wrong.
    """
    secret = os.environ.get(PASSPHRASE)
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"others may read the key {path}", hint=f"chmod 600 {path}")
        key = load_pem_private_key(path.read_bytes(), secret.encode() if secret else None)
    except _UNREADABLE as error:
        raise ConfigError(
            f"the key {path} cannot be read: {getattr(error, 'strerror', None) or error}",
            exists=f"an encrypted one is opened with {PASSPHRASE}",
            hint="aeros algorithms keygen FILE makes one",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            f"{path} is not an Ed25519 key", hint="aeros algorithms keygen FILE makes one"
        )
    return key


def identity(key: Ed25519PublicKey) -> str:
    """Return the id of a key."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()


def trusted(folder: Path) -> dict[str, Ed25519PublicKey]:
    """Read the public keys that a node trusts, ``*.pub`` in a folder, by their ids.

    Raises:
        ConfigError: There is no key, a file is no Ed25519 key, or anybody may write there.
    """
    keys = map(public, _files(folder))
    return {identity(key): key for key in keys}


def files(folder: Path) -> list[tuple[Path, str]]:
    """Return the files of trusted keys, each with the id of its key.

    Raises:
        ConfigError: As `trusted`.
    """
    return [(path, identity(public(path))) for path in _files(folder)]


def _files(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.pub")) if folder.is_dir() else []
    if not found:
        raise ConfigError(
            f"{folder} holds no key to trust",
            exists="files *.pub as aeros algorithms keygen writes them",
            hint=f"mkdir -p {folder} && cp FILE.pub {folder}, the public key of whoever may push"
            " algorithms",
        )
    for path in found:
        check_owned(path)
    return found


def sign(algorithm: Algorithm, key: Ed25519PrivateKey) -> Algorithm:
    """Return a statement with the id of this key and its signature."""
    named = replace(algorithm, key=identity(key.public_key()))
    return replace(named, signature=key.sign(canonical(named)).hex())


def check(algorithm: Algorithm, keys: dict[str, Ed25519PublicKey]) -> None:
    """Make sure that one of these keys has signed a statement.

    Raises:
        Refused: It is not signed, by a key that is not trusted, or not as it stands now.
    """
    said = f"{algorithm.name}:{algorithm.version}"
    if not algorithm.signature:
        raise Refused(f"{said} is not signed", hint="aeros algorithms push DIST.whl --key FILE")
    statement = canonical(algorithm)
    if algorithm.key not in keys:
        raise Refused(
            f"{said} is signed by the key {algorithm.key}, which is not trusted here",
            exists=f"trusted: {', '.join(sorted(keys))}",
            hint="to trust it, copy its .pub file into the folder of keys",
        )
    try:
        keys[algorithm.key].verify(bytes.fromhex(algorithm.signature), statement)
    except (InvalidSignature, ValueError) as error:
        raise Refused(
            f"the signature of {said} does not belong to it: it was altered, or forged",
            hint="ask whoever signed it; do not run it",
        ) from error


def _encryption() -> KeySerializationEncryption:
    secret = os.environ.get(PASSPHRASE)
    return BestAvailableEncryption(secret.encode()) if secret else NoEncryption()


def _write(path: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}",
            hint="aeros algorithms keygen <another file>",
        ) from error


def public(path: Path) -> Ed25519PublicKey:
    """Read a public key.

    Raises:
        ConfigError: It is no Ed25519 key.
    """
    try:
        key = load_pem_public_key(key_file.parse(path.read_bytes(), path).pem)
    except OSError as error:
        raise ConfigError(
            f"the public key {path} cannot be read: {error.strerror}",
            hint="aeros algorithms keys lists those that are there",
        ) from error
    except _UNREADABLE as error:
        raise ConfigError(f"{path} is no public key: {error}", hint=f"remove {path}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path} is not an Ed25519 key", hint=f"remove {path}")
    return key
