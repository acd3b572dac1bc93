"""Delta storage: find and reuse stored pieces of a vector, such as layers a round left unchanged.

A vector is split at the borders of its tensors (adjacent small tensors form one piece) and at
the ends of its chunk files. A stored vector lists the SHA-256 and location (blob and offset) of
each piece. The next vector of the same layout stores only the pieces that differ, and refers to
the blobs that hold the others.

Hashing everything before writing would cost a third of the speed when nearly all pieces have
changed. So each piece has a *sample*, a checksum of 256 of its bytes: if it differs, the piece
has changed; if it is equal, the SHA-256 is compared.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from aeros_core.arrays import Array
from aeros_core.parameters import Layout
from aeros_zarr.format.array_metadata import Document

__all__ = [
    "VectorPiece",
    "borders",
    "described",
    "joined",
    "lying",
    "samples",
    "sources",
    "table",
    "unchanged",
    "worthwhile",
]

_SMALL = 4096  # a page: smaller pieces are merged
_SAMPLED = 256
_INLINE = 2**20
_LIVE = 2  # a blob is reused while at least 1/2 of it is in use


@dataclass(frozen=True, slots=True)
class VectorPiece:
    """A piece of a stored vector.

    Args:
        nbytes: Its length in bytes.
        sha256: SHA-256 of its bytes.
        sample: Its `sample` checksum.
        blob: Digest of the blob that holds it; ``""`` for the vector's own blob.
        at: Byte offset in that blob's array.
    """

    nbytes: int
    sha256: str
    sample: int
    blob: str
    at: int


def borders(layout: Layout, dtype: str) -> list[int]:
    """Return the indices of the elements at which a vector is split: its tensors' borders."""
    width = np.dtype(dtype).itemsize
    edges = [0]
    for start, size in sorted((t.offset, t.size) for t in layout.tensors if t.dtype == dtype):
        if size * width >= _SMALL:
            edges += [start, start + size]
        elif (start - edges[-1]) * width >= _SMALL:
            edges.append(start)
    return sorted({*edges})


def sample(piece: memoryview) -> int:
    """Return the CRC-32 of evenly spaced bytes of a piece."""
    return zlib.crc32(piece[:: max(1, len(piece) // _SAMPLED)].tobytes())


def samples(chunks: Sequence[Sequence[memoryview]]) -> list[list[list[int]]]:
    """Return the length and the sample of each piece of each chunk."""
    return [[[len(piece), sample(piece)] for piece in chunk] for chunk in chunks]


def table(document: Document) -> list[VectorPiece]:
    """Return the pieces of a stored vector; an empty list for vectors of format 1."""
    attributes = document["attributes"]
    if "pieces" in attributes:
        blobs = attributes["blobs"]
        return [
            VectorPiece(n, sha, taken, blobs[b], at)
            for n, sha, taken, b, at in attributes["pieces"]
        ]
    found: list[VectorPiece] = []
    at = 0
    for named, taken in zip(attributes["sha256"], attributes.get("samples", ()), strict=False):
        parts = named if isinstance(named, list) else [[taken[0][0], named]]
        for (nbytes, sha256), (_, checksum) in zip(parts, taken, strict=False):
            found.append(VectorPiece(nbytes, sha256, checksum, "", at))
            at += nbytes
    return found


def sources(document: Document) -> list[str]:
    """Return the other blobs that hold pieces of a stored vector."""
    return sorted({piece.blob for piece in table(document)} - {""})


def unchanged(pieces: Sequence[memoryview], base: Sequence[VectorPiece]) -> dict[int, VectorPiece]:
    """Return the stored pieces that equal these pieces, by position."""
    if [len(piece) for piece in pieces] != [piece.nbytes for piece in base]:
        return {}
    likely = [n for n, piece in enumerate(pieces) if sample(piece) == base[n].sample]
    sums = hashed([pieces[n] for n in likely])
    return {n: base[n] for n, found in zip(likely, sums, strict=True) if found == base[n].sha256}


def worthwhile(
    reused: Mapping[int, VectorPiece], nbytes: Callable[[str], int | None]
) -> dict[int, VectorPiece]:
    """Return the pieces to reuse: those of blobs of which at least half is in use.

    Args:
        reused: The equal pieces, by position.
        nbytes: Returns the size of a blob's array in bytes; None if it is damaged.
    """
    live: defaultdict[str, int] = defaultdict(int)
    for piece in reused.values():
        live[piece.blob] += piece.nbytes
    sizes = {blob: nbytes(blob) for blob in live}
    kept = {b for b, size in sizes.items() if size is not None and live[b] * _LIVE >= size}
    return {n: piece for n, piece in reused.items() if piece.blob in kept}


def described(
    pieces: Sequence[memoryview], reused: Mapping[int, VectorPiece]
) -> dict[str, list[Any]]:
    """Return the attributes of a blob that locate the pieces of its vector.

    Pieces that are not reused are concatenated in the blob itself.
    """
    fresh = [n for n in range(len(pieces)) if n not in reused]
    sums = dict(zip(fresh, hashed([pieces[n] for n in fresh]), strict=True))
    blobs = ["", *sorted({piece.blob for piece in reused.values()})]
    rows: list[list[Any]] = []
    at = 0
    for n, piece in enumerate(pieces):
        if old := reused.get(n):
            rows.append([old.nbytes, old.sha256, old.sample, blobs.index(old.blob), old.at])
        else:
            rows.append([len(piece), sums[n], sample(piece), 0, at])
            at += len(piece)
    return {"blobs": blobs, "pieces": rows}


def joined(pieces: Sequence[VectorPiece], read: Callable[[str], Array]) -> Array:
    """Assemble the bytes of a vector from the blobs that hold its pieces.

    Args:
        pieces: All pieces, in order.
        read: Returns the bytes of a blob's array, as a new array that may be modified.

    Raises:
        ValueError: A piece exceeds the array of its blob.
    """
    total = sum(piece.nbytes for piece in pieces)
    ends = np.cumsum([piece.nbytes for piece in pieces]).tolist()
    placed = [(end - piece.nbytes, piece) for end, piece in zip(ends, pieces, strict=True)]
    out: Array | None = None
    for blob in sorted({piece.blob for piece in pieces}, key=lambda b: -_held(pieces, b)):
        held = read(blob)
        mine = [(start, piece) for start, piece in placed if piece.blob == blob]
        if any(piece.at + piece.nbytes > held.nbytes for _, piece in mine):
            raise ValueError("a piece exceeds the array of its blob")
        if out is None and held.nbytes == total and all(start == p.at for start, p in mine):
            out = held
            continue
        out = np.empty(total, np.uint8) if out is None else out
        for start, p in mine:
            out[start : start + p.nbytes] = held[p.at : p.at + p.nbytes]
    return np.empty(0, np.uint8) if out is None else out


def lying(document: Document, start: int, end: int) -> list[tuple[str, int, int]]:
    """Return the locations of a byte range of a stored vector, in order.

    Args:
        document: Metadata of the vector.
        start: First byte of the range.
        end: End of the range, excluded.

    Returns:
        Tuples of blob (``""`` for the vector's own), start and end in that blob's array.
    """
    if not sources(document):
        return [("", start, end)]
    found: list[tuple[str, int, int]] = []
    begin = 0
    for piece in table(document):
        first, last = max(start - begin, 0), min(end - begin, piece.nbytes)
        if first < last:
            found.append((piece.blob, piece.at + first, piece.at + last))
        begin += piece.nbytes
    return found


def _held(pieces: Sequence[VectorPiece], blob: str) -> int:
    return sum(piece.nbytes for piece in pieces if piece.blob == blob)


def hashed(pieces: Sequence[memoryview]) -> list[str]:
    """Return the SHA-256 of each piece; large amounts are hashed concurrently."""
    if sum(map(len, pieces)) < _INLINE:
        return [_sha256(piece) for piece in pieces]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(_sha256, pieces))


def _sha256(piece: memoryview) -> str:
    return hashlib.sha256(piece).hexdigest()
