"""Checksums of chunk files: SHA-256 of the whole file, or of each of its parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from aeros_zarr.format.arrays import Part
from aeros_zarr.stores.store import Readable

__all__ = ["Sum", "copied", "is_of", "of_chunk", "sha256"]

_PIECE = 2**18
"""Bytes read at a time; they fit into the cache of a core."""

Sum: TypeAlias = str | list[list[Any]]
"""SHA-256 of a chunk file, or ``[length, SHA-256]`` of each of its parts."""


def of_chunk(chunk: Sequence[Part]) -> Sum:
    """Return the SHA-256 of a chunk file, or the length and the SHA-256 of each of its parts."""
    digests = [sha256(part) for part in chunk]
    if len(chunk) == 1:
        return digests[0]
    return [[sum(map(len, part)), digest] for part, digest in zip(chunk, digests, strict=True)]


def copied(file: Readable, named: Sum | None, into: memoryview, nbytes: int) -> bool:
    """Read a file into a buffer; return whether its length and checksum match.

    Each piece is hashed and copied while it is in the CPU cache: the system copies much faster
    into a small warm buffer than into a large cold one.

    Args:
        file: The file, at its beginning.
        named: Its checksum; None to read it unverified.
        into: Destination; file bytes beyond its end are padding and dropped.
        nbytes: Expected bytes of the file.
    """
    parts: list[Any] = named if isinstance(named, list) else [(nbytes, named)]
    buffer = memoryview(bytearray(min(_PIECE, nbytes)))
    at = 0
    for length, digest in parts:
        sha = hashlib.sha256()
        end = at + length
        while at < end:
            size = file.readinto(buffer[: min(end - at, _PIECE)])
            if not size:
                return False
            if digest is not None:
                sha.update(buffer[:size])
            place = into[at : at + size]
            place[:] = buffer[: len(place)]
            at += size
        if digest not in (None, sha.hexdigest()):
            return False
    return at == nbytes and not file.read(1)


def sha256(parts: Iterable[bytes | bytearray | memoryview]) -> str:
    """Return the SHA-256 of concatenated buffers."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()


def is_of(file: Readable, named: Sum) -> bool:
    """Return whether the rest of a file has a checksum."""
    buffer = memoryview(bytearray(2**20))
    if isinstance(named, str):
        sha = hashlib.sha256()
        while size := file.readinto(buffer):
            sha.update(buffer[:size])
        return sha.hexdigest() == named
    return all(_of_next(file, n, buffer) == digest for n, digest in named) and not file.read(1)


def _of_next(file: Readable, nbytes: int, buffer: memoryview) -> str:
    sha = hashlib.sha256()
    while nbytes and (size := file.readinto(buffer[: min(nbytes, len(buffer))])):
        sha.update(buffer[:size])
        nbytes -= size
    return "" if nbytes else sha.hexdigest()
