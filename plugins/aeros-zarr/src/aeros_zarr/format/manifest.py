"""Manifests: the small JSON files that make a run, a round or a model visible.

One line each::

    {"format":2,"kind":"round","sha256":"<of the content's bytes>","content":{…}}

Numbers come back bit for bit. A float that JSON has no word for is written as its
IEEE 754 bits, ``{"$float64": "7ff8000000000000"}``, so that any JSON parser reads the file.
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
"""The format that is written; it and every earlier one are read.

1. Every vector is one blob.
2. A vector's blob may name others, ``bases``, that hold the pieces it shares with them;
   chunk files are hashed tensor by tensor.
"""

_SHOWN = 200
"""Characters of what a damaged file says that a message repeats, at most."""

_NONSENSE = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, ConfigError,
)  # fmt: skip


class _Manifest(msgspec.Struct):
    """A manifest whose content is not decoded yet."""

    format: Any
    content: msgspec.Raw


class Newer(RepositoryError):
    """A record was written in a format that is not known yet."""


def dump(kind: str, content: Mapping[str, Any], key: str = "") -> bytes:
    """Return the manifest of this kind and content.

    Args:
        kind: What it is a record of.
        content: What it says.
        key: Where it will lie, which it says too (`aeros_zarr.stores.layout`).

    Raises:
        RepositoryError: The content holds something that is not plain data.
    """
    try:
        body = _text({**belonging(key), **content})
    except (TypeError, ValueError, RecursionError) as error:
        raise RepositoryError(
            f"a {kind} cannot be stored: {error}",
            exists="mappings, sequences, text, numbers, true, false and null can",
        ) from error
    return _wrap(kind, body.encode())


def load(kind: str, data: bytes, source: str) -> dict[str, Any]:
    """Return the content of a manifest.

    Args:
        kind: The kind it must be of.
        data: The bytes of the file.
        source: The file, for messages.

    Raises:
        RepositoryError: It is damaged, of another kind, or of a newer format.
    """
    try:
        written, body = _parted(data)
        content = decode(body)
    except (ValueError, LookupError, TypeError, RecursionError, struct.error) as error:
        raise damaged(source, "it is no manifest") from error
    if isinstance(written, int) and written > FORMAT and _agrees(content, written):
        raise _newer(source, written)
    known = type(written) is int and written in range(1, FORMAT + 1)
    if not (known and isinstance(content, dict)) or _wrap(kind, body, written) != data:
        raise damaged(source, "its SHA-256 is not the one it was stored with")
    if kind in RECORDS:
        _check(kind, content, source)
    return content


def _parted(data: bytes) -> tuple[Any, bytes]:
    """Return the format of a manifest, and its content as it is written."""
    try:
        document = msgspec.json.decode(data, type=_Manifest)
    except msgspec.DecodeError:  # half of a surrogate pair, which `json` writes and reads
        return json.loads(data)["format"], data.partition(b',"content":')[2][:-2]
    return document.format, bytes(document.content)


def _check(kind: str, content: Mapping[str, Any], source: str) -> None:
    try:
        check(content, RECORDS[kind])
    except (ValueError, RecursionError) as error:
        raise damaged(source, f"as the record of a {kind}, {error}") from error


def is_current(data: bytes) -> bool:
    """Tell whether a manifest is of the format that is written, and not of an earlier one."""
    return data.startswith(f'{{"format":{FORMAT},'.encode())


def read(store: Store, kind: str, key: str) -> dict[str, Any] | None:
    """Return the content of the manifest at ``key``; None where there is none.

    Raises:
        RepositoryError: See `load`; or it belongs elsewhere.
    """
    try:
        data = store.read(key)
    except FileNotFoundError:
        return None
    return placed(load(kind, data, store.location(key)), store, key)


def placed(content: dict[str, Any], store: Store, key: str) -> dict[str, Any]:
    """Return the content of a manifest that belongs where it was found.

    Raises:
        RepositoryError: It is the record of something else.
    """
    for name, value in belonging(key).items():
        if content.get(name, value) != value:
            told = repr(content[name])[:_SHOWN]
            raise damaged(store.location(key), f"it is the record of another {name}, {told}")
    return content


def damaged(source: str, how: str, *, exists: str = "") -> RepositoryError:
    """Return the error that names a damaged file."""
    return RepositoryError(
        f"{source} is damaged: {how}",
        exists=exists,
        hint="aeros models verify --heal, or --heal-from COPY, a copy of the repository",
    )


@contextmanager
def reading(source: str) -> Iterator[None]:
    """Turn what stumbles over the content of a file into the error that names it.

    Its checksum was right: whoever wrote it was wrong, or is not to be trusted.

    Raises:
        RepositoryError: The block raised what nonsense makes Python raise, or there is no
            memory for what the file announces.
    """
    try:
        yield
    except MemoryError as error:
        raise RepositoryError(
            f"there is no memory for what {source} announces: {error}",
            hint="read it on a machine with more memory",
        ) from error
    except _NONSENSE as error:
        said = str(error).partition("\n")[0][:_SHOWN]
        raise damaged(source, f"it says what cannot be: {said}") from error


def said(error: RepositoryError) -> str:
    """Return what is wrong with the file that an error names, without its name."""
    return error.asked.rpartition(" is damaged: ")[2]


def audit(
    store: Store, kind: str, keys: Iterable[str]
) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Read manifests.

    Returns:
        Every file and what is wrong with it, if anything; and the contents of the others.
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
    """Tell whether a content that repeats its format, as a store's marker does, says the same."""
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
