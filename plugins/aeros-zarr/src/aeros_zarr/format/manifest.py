"""Manifests: the JSON files of records; a run, round or model exists once its manifest does.

Each is one line::

    {"format":2,"kind":"round","sha256":"<of the content's bytes>","content":{…}}

Numbers are restored bitwise identical. NaN and infinities, which JSON lacks, are written as
their IEEE 754 bits, ``{"$float64": "7ff8000000000000"}``, so any JSON parser reads the file.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np

from aeros_core.errors import ConfigError, RepositoryError
from aeros_zarr.format.record_schemas import RECORDS
from aeros_zarr.format.validation import FLOAT, check, decode
from aeros_zarr.stores.layout import belonging
from aeros_zarr.stores.store import Store

__all__ = [
    "FORMAT",
    "Newer",
    "audit",
    "damaged",
    "dump",
    "is_current",
    "load",
    "placed",
    "read",
    "reading",
    "said",
]

FORMAT = 2
"""Version of the format that is written; it and all earlier versions can be read.

1. Every vector is one blob.
2. A vector's blob may name others, ``bases``, that hold the pieces it shares with them;
   chunk files are hashed tensor by tensor.
"""

_SHOWN = 200
"""Maximum number of characters of a damaged file that a message quotes."""

_NONSENSE = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, ConfigError,
)  # fmt: skip


class _Manifest(msgspec.Struct):
    """A manifest whose content is not decoded yet."""

    format: Any
    content: msgspec.Raw


class Newer(RepositoryError):
    """A record was written in a newer format than this version can read."""


def dump(kind: str, content: Mapping[str, Any], key: str = "") -> bytes:
    """Return the manifest of a record as bytes.

    Args:
        kind: Kind of the record, a key of `RECORDS`.
        content: Fields of the record.
        key: Key that it will be stored at; repeated in its fields (`aeros_zarr.stores.layout`).

    Raises:
        RepositoryError: The content holds something that is not plain data.
    """
    try:
        body = _text({**belonging(key), **content})
    except (TypeError, ValueError, RecursionError) as error:
        raise RepositoryError(
            f"a {kind} cannot be stored: {error}",
            exists="mappings, sequences, text, numbers, true, false and null can be stored",
        ) from error
    return _wrap(kind, body.encode())


def load(kind: str, data: bytes, source: str) -> dict[str, Any]:
    """Return the content of a manifest.

    Args:
        kind: The expected kind of record.
        data: The bytes of the file.
        source: Location of the file, for messages.

    Raises:
        RepositoryError: The file is damaged, of another kind, or of a newer format.
    """
    try:
        written, body = _parted(data)
        content = decode(body)
    except (ValueError, LookupError, TypeError, RecursionError, struct.error) as error:
        raise damaged(source, "it is not a manifest") from error
    if isinstance(written, int) and written > FORMAT and _agrees(content, written):
        raise _newer(source, written)
    known = type(written) is int and written in range(1, FORMAT + 1)
    if not (known and isinstance(content, dict)) or _wrap(kind, body, written) != data:
        raise damaged(source, "its SHA-256 is not the one it was stored with")
    if kind in RECORDS:
        _check(kind, content, source)
    return content


def _parted(data: bytes) -> tuple[Any, bytes]:
    """Return the format of a manifest, and the bytes of its content."""
    try:
        document = msgspec.json.decode(data, type=_Manifest)
    except msgspec.DecodeError:  # lone surrogates, which only `json` accepts
        return json.loads(data)["format"], data.partition(b',"content":')[2][:-2]
    return document.format, bytes(document.content)


def _check(kind: str, content: Mapping[str, Any], source: str) -> None:
    try:
        check(content, RECORDS[kind])
    except (ValueError, RecursionError) as error:
        raise damaged(source, f"as the record of a {kind}, {error}") from error


def is_current(data: bytes) -> bool:
    """Return whether a manifest has the current format."""
    return data.startswith(f'{{"format":{FORMAT},'.encode())


def read(store: Store, kind: str, key: str) -> dict[str, Any] | None:
    """Return the content of the manifest at ``key``; None if it does not exist.

    Raises:
        RepositoryError: See `load` and `placed`.
    """
    try:
        data = store.read(key)
    except FileNotFoundError:
        return None
    return placed(load(kind, data, store.location(key)), store, key)


def placed(content: dict[str, Any], store: Store, key: str) -> dict[str, Any]:
    """Return the content of a manifest, checked to belong to its key.

    Raises:
        RepositoryError: It is the record of another key.
    """
    for name, value in belonging(key).items():
        if content.get(name, value) != value:
            other = repr(content[name])[:_SHOWN]
            raise damaged(store.location(key), f"it is the record of another {name}, {other}")
    return content


def damaged(source: str, how: str, *, exists: str = "") -> RepositoryError:
    """Return the error of a damaged file, with advice to repair it."""
    return RepositoryError(
        f"{source} is damaged: {how}",
        exists=exists,
        hint="aeros models verify --heal, or --heal-from COPY, a copy of the repository",
    )


@contextmanager
def reading(source: str) -> Iterator[None]:
    """Turn errors in interpreting the content of a file into one that names the file.

    For files whose checksum is correct, but whose writer was faulty or malicious.

    Args:
        source: Location of the file.

    Raises:
        RepositoryError: The block raised an error of invalid values, or a MemoryError.
    """
    try:
        yield
    except MemoryError as error:
        raise RepositoryError(
            f"not enough memory to read {source}: {error}",
            hint="read it on a machine with more memory",
        ) from error
    except _NONSENSE as error:
        reason = str(error).partition("\n")[0][:_SHOWN]
        raise damaged(source, f"its content is invalid: {reason}") from error


def said(error: RepositoryError) -> str:
    """Return the reason of a `damaged` error, without the file name."""
    return error.asked.rpartition(" is damaged: ")[2]


def audit(
    store: Store, kind: str, keys: Iterable[str]
) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Read and verify manifests.

    Returns:
        The defect of every file, ``""`` if it is sound; and the contents of sound ones by key.
    """
    found: dict[str, str] = {}
    contents: dict[str, dict[str, Any]] = {}
    for key in keys:
        try:
            content = read(store, kind, key)
        except RepositoryError as error:
            found[store.location(key)] = said(error)
            continue
        found[store.location(key)] = "it is missing" if content is None else ""
        contents |= {} if content is None else {key: content}
    return found, contents


def _newer(source: str, written: int) -> Newer:
    return Newer(
        f"{source} was written in format {written} by a newer aeros-zarr",
        exists=f"formats up to {FORMAT} are read here",
        provider="aeros-zarr",
        hint="pip install --upgrade aeros-zarr",
    )


def _agrees(content: Any, written: int) -> bool:
    """Return whether a content that repeats its format (the marker) has the same number."""
    return not isinstance(content, dict) or content.get("format", written) == written


def _wrap(kind: str, body: bytes, written: int = FORMAT) -> bytes:
    digest = hashlib.sha256(body).hexdigest()
    head = f'{{"format":{written},"kind":"{kind}","sha256":"{digest}","content":'
    return head.encode() + body + b"}\n"


def _text(content: Any) -> str:
    try:
        return json.dumps(content, allow_nan=False, separators=(",", ":"), default=_plain)
    except ValueError:
        return json.dumps(_finite(content), allow_nan=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return list(value)
    raise TypeError(f"a {type(value).__name__} is not plain data")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else {FLOAT: struct.pack(">d", value).hex()}
    if isinstance(value, str | int | None):
        return value
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return _finite(_plain(value))
