"""Read the chunks of a blob's array concurrently: all, or those of given byte ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np

from aeros_core.arrays import Array
from aeros_zarr.blobs.verified_files import Files, is_digest
from aeros_zarr.format.array_metadata import Document, alone, chunk_nbytes, empty, is_plain, unpack

__all__ = ["Chunks", "Span", "together"]

Span: TypeAlias = tuple[int, int]
"""A byte range of an array: start and end, the end excluded."""


class Chunks:
    """Reader of the chunk files of blobs.

    Args:
        files: Reads single files.
        at_once: Number of files to read concurrently.
        verify: Hash uncompressed chunks; compressed ones always are.
    """

    def __init__(self, files: Files, at_once: int, *, verify: bool) -> None:
        self._files = files
        self._at_once = at_once
        self._verify = verify

    def whole(self, key: str, document: Document) -> Array:
        """Return the flat array of the blob at a key.

        Raises:
            RepositoryError: A file is missing or damaged.
            MemoryError: There is not enough memory.
        """
        sums = document["attributes"]["sha256"]
        if not is_plain(document):
            named = {f"c.{n}": digest for n, digest in enumerate(sums)}
            files = {c: self._files.read(f"{key}/{c}", is_digest(d)) for c, d in named.items()}
            return unpack(document, files)
        flat, places = empty(document)

        def fill(n: int) -> None:
            self._files.fill(f"{key}/c.{n}", sums[n], *places[n], verify=self._verify)

        self._each(fill, range(len(places)))
        return flat

    def parts(self, key: str, document: Document, spans: Sequence[Span]) -> list[Array]:
        """Return byte ranges of the array of the blob at a key; other chunks are not read.

        Raises:
            RepositoryError: A file is missing or damaged.
            ValueError: The array ends before a span does.
        """
        step = chunk_nbytes(document)
        read: dict[int, Array] = {}

        def hold(n: int) -> None:
            read[n] = self._chunk(key, document, n)

        self._each(hold, sorted({n for span in spans for n in _touched(span, step)}))
        return [_joined(read, step, span) for span in spans]

    def _chunk(self, key: str, document: Document, n: int) -> Array:
        """Return the bytes of a chunk, including padding."""
        one = alone(document, n)
        [named] = one["attributes"]["sha256"]
        if not is_plain(document):
            packed = self._files.read(f"{key}/c.{n}", is_digest(named))
            return unpack(one, {"c.0": packed}).view(np.uint8)
        flat, [place] = empty(one)
        self._files.fill(f"{key}/c.{n}", named, *place, verify=self._verify)
        return flat.view(np.uint8)

    def _each(self, read: Callable[[int], None], chunks: Sequence[int]) -> None:
        if len(chunks) < 2:
            list(map(read, chunks))
            return
        with ThreadPoolExecutor(self._at_once) as readers:
            list(readers.map(read, chunks))


def together(parts: Sequence[Array]) -> Array:
    """Concatenate byte arrays; a single one is returned without a copy."""
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint8), *parts])


def _touched(span: Span, step: int) -> range:
    """Return the numbers of the chunks of ``step`` bytes that overlap a span."""
    start, end = span
    return range(start // step, -(-end // step) if start < end else start // step)


def _joined(chunks: Mapping[int, Array], step: int, span: Span) -> Array:
    start, end = span
    parts = [chunks[n][max(start - n * step, 0) : end - n * step] for n in _touched(span, step)]
    return together(parts)
