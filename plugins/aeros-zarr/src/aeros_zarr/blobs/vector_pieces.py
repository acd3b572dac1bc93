"""Which pieces of a vector are stored already: layers that a round did not change.

A vector is cut where its tensors begin and end (runs of small ones are one piece), and
where the chunk files of an array of its length end. A stored vector says of each piece its
SHA-256, in which blob it lies, and where. The next one that has the same layout stores only
the pieces that differ, and names the blobs that hold the others.

To hash everything before anything is written would cost a third of the speed, where mostly
everything has changed. So each piece has a *sample*, a checksum of 256 of its bytes: where
it differs the piece has changed; where it does not, the SHA-256 tells.
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

_SMALL = 4096  # a page: less than that is not written by itself
_SAMPLED = 256
_INLINE = 2**20
_LIVE = 2  # a blob is used on while at least this part, one half, of it is


@dataclass(frozen=True, slots=True)
class VectorPiece:
    """A piece of a stored vector.

    Args:
        nbytes: Its length.
        sha256: Of its bytes.
        sample: See `sample`.
        blob: The blob that holds it; ``""`` for the one that says so.
        at: Byte of that blob's array at which it begins.
    """

    nbytes: int
    sha256: str
    sample: int
    blob: str
    at: int


def borders(layout: Layout, dtype: str) -> list[int]:
    """Return the elements of a vector at which it is cut: the edges of its tensors."""
    width = np.dtype(dtype).itemsize
    edges = [0]
    for start, size in sorted((t.offset, t.size) for t in layout.tensors if t.dtype == dtype):
        if size * width >= _SMALL:
            edges += [start, start + size]
        elif (start - edges[-1]) * width >= _SMALL:
            edges.append(start)
    return sorted({*edges})


def sample(piece: memoryview) -> int:
    """Return a checksum of some bytes of a piece, which lie evenly in it."""
    return zlib.crc32(piece[:: max(1, len(piece) // _SAMPLED)].tobytes())


def samples(chunks: Sequence[Sequence[memoryview]]) -> list[list[list[int]]]:
    """Return the length and the sample of each piece of each chunk."""
    return [[[len(piece), sample(piece)] for piece in chunk] for chunk in chunks]


def table(document: Document) -> list[VectorPiece]:
    """Return the pieces of a stored vector; none if it was stored in format 1."""
    attributes = document["attributes"]
    if "pieces" in attributes:
        blobs = attributes["blobs"]
        return [
            VectorPiece(n, sha, taken, blobs[b], at)
            for n, sha, taken, b, at in attributes["pieces"]
        ]
    found: list[VectorPiece] = []
    at = 0
    for said, taken in zip(attributes["sha256"], attributes.get("samples", ()), strict=False):
        parts = said if isinstance(said, list) else [[taken[0][0], said]]
        for (nbytes, sha256), (_, checksum) in zip(parts, taken, strict=False):
            found.append(VectorPiece(nbytes, sha256, checksum, "", at))
            at += nbytes
    return found


def sources(document: Document) -> list[str]:
    """Return the other blobs that hold pieces of a stored vector."""
    return sorted({piece.blob for piece in table(document)} - {""})


def unchanged(pieces: Sequence[memoryview], base: Sequence[VectorPiece]) -> dict[int, VectorPiece]:
    """Return which of these pieces are those of a stored vector, by position."""
    if [len(piece) for piece in pieces] != [piece.nbytes for piece in base]:
        return {}
    likely = [n for n, piece in enumerate(pieces) if sample(piece) == base[n].sample]
    sums = hashed([pieces[n] for n in likely])
    return {n: base[n] for n, found in zip(likely, sums, strict=True) if found == base[n].sha256}


def worthwhile(
    reused: Mapping[int, VectorPiece], nbytes: Callable[[str], int | None]
) -> dict[int, VectorPiece]:
    """Return what may be reused: pieces of blobs at least half of which is in use.

    Args:
        reused: The pieces, by position.
        nbytes: Returns the length of a blob's array; None if it is not to be relied on.
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
    """Return what a blob says of the pieces of a vector: where each lies.

    Those that are not reused lie one behind the other in the blob itself.
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
    """Return a vector's bytes, put together from the blobs that hold its pieces.

    Args:
        pieces: All of it, in order.
        read: Returns the bytes of a blob's array, to be kept and changed.

    Raises:
        ValueError: A blob's array ends before a piece of it does.
    """
    total = sum(piece.nbytes for piece in pieces)
    ends = np.cumsum([piece.nbytes for piece in pieces]).tolist()
    placed = [(end - piece.nbytes, piece) for end, piece in zip(ends, pieces, strict=True)]
    out: Array | None = None
    for blob in sorted({piece.blob for piece in pieces}, key=lambda b: -_held(pieces, b)):
        held = read(blob)
        mine = [(start, piece) for start, piece in placed if piece.blob == blob]
        if any(piece.at + piece.nbytes > held.nbytes for _, piece in mine):
            raise ValueError("it names a piece that is not there")
        if out is None and held.nbytes == total and all(start == p.at for start, p in mine):
            out = held
            continue
        out = np.empty(total, np.uint8) if out is None else out
        for start, p in mine:
            out[start : start + p.nbytes] = held[p.at : p.at + p.nbytes]
    return np.empty(0, np.uint8) if out is None else out


def lying(document: Document, start: int, end: int) -> list[tuple[str, int, int]]:
    """Return where some bytes of a stored vector lie, in order.

    Args:
        document: Of the vector.
        start: The first byte that is asked for.
        end: The byte behind the last.

    Returns:
        The blob, ``""`` for the vector's own; the first byte of that blob's array, and the
        one behind the last.
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
    """Return the SHA-256 of each piece; large ones side by side."""
    if sum(map(len, pieces)) < _INLINE:
        return [_sha256(piece) for piece in pieces]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(_sha256, pieces))


def _sha256(piece: memoryview) -> str:
    return hashlib.sha256(piece).hexdigest()
