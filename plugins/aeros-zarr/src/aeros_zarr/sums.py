"""The sums of chunk files: SHA-256 of the file, or of each of the parts it consists of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from aeros_zarr.arrays import Part
from aeros_zarr.store import Readable

__all__ = ["Sum", "is_of", "matches", "of_chunk", "sha256"]

Sum: TypeAlias = str | list[list[Any]]
"""SHA-256 of a chunk file, or ``[length, SHA-256]`` of each of its parts."""


def of_chunk(chunk: Sequence[Part]) -> Sum:
    """Return the SHA-256 of a chunk file, or the length and the SHA-256 of each of its parts."""
    digests = [sha256(part) for part in chunk]
    if len(chunk) == 1:
        return digests[0]
    return [[sum(map(len, part)), digest] for part, digest in zip(chunk, digests, strict=True)]


def matches(named: Sum, buffers: Sequence[memoryview]) -> bool:
    """Tell whether a sum is that of these buffers, the second being padding."""
    if isinstance(named, str):
        return sha256(buffers) == named
    data, padding = buffers
    at = 0
    for nbytes, digest in named[: len(named) - bool(padding)]:
        if sha256([data[at : at + nbytes]]) != digest:
            return False
        at += nbytes
    return at == len(data) and not any(padding)


def sha256(parts: Iterable[bytes | bytearray | memoryview]) -> str:
    """Return the SHA-256 of buffers, one behind the other."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()


def is_of(file: Readable, named: Sum) -> bool:
    """Tell whether a sum is that of what is left of a file."""
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
