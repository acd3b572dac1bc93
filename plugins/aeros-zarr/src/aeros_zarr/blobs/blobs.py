"""Blobs: arrays stored under the digest of their content.

A blob is a folder that plain zarr opens. Its ``zarr.json`` lists the SHA-256 of each chunk
file, and its name is the SHA-256 of its ``zarr.json``, so the name suffices to verify every
byte. Several chunks are hashed and written concurrently.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

from aeros_core.arrays import Array, Vector
from aeros_core.errors import RepositoryError
from aeros_zarr import Compression
from aeros_zarr.blobs import vector_pieces
from aeros_zarr.blobs.checksums import Sum, is_of, of_chunk, sha256
from aeros_zarr.blobs.chunks import Chunks, Span, together
from aeros_zarr.blobs.verified_files import Files, is_digest
from aeros_zarr.format.array_metadata import (
    Document,
    flat_nbytes,
    in_pieces,
    parsed,
    restore,
)
from aeros_zarr.format.arrays import Encoded, encode, host
from aeros_zarr.format.manifest import damaged, reading
from aeros_zarr.stores.store import Store

__all__ = ["Blobs", "Stored"]

K = TypeVar("K")

Stored: TypeAlias = tuple[Vector, Mapping[str, Any]]
"""An array on any device, and the attributes to store with it."""

_THREADS = min(4, os.cpu_count() or 1)

_WRITERS = 6
"""Files written concurrently: one waits for the disk while others are copied."""

_OURS = ("blobs", "pieces", "samples", "sha256")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """The blobs of a store: writes arrays, and reads them back verified.

    Args:
        store: The store that holds them.
        compression: Compression of blobs that are written.
        others: Other stores that may have copies.
        verify: Hash uncompressed chunks when they are read; compressed ones always are.

    Attributes:
        compression: Compression of blobs that are written.
    """

    def __init__(
        self, store: Store, compression: Compression, others: Sequence[Store] = (), *,
        verify: bool = True,
    ) -> None:  # fmt: skip
        self._store = store
        self._files = Files(store, others)
        self._chunks = Chunks(self._files, store.at_once, verify=verify)
        self._verify = verify
        self.compression = compression
        self._sound: set[str] = set()  # written or verified by this object
        self._fresh: dict[str, Document] = {}  # written last, and perhaps not named yet

    def put(self, folder: str, arrays: Mapping[K, Stored]) -> dict[K, str]:
        """Store arrays; return ``{name: digest of its blob}``.

        An existing sound blob is kept, and its time set to now. All blobs are on stable
        storage at the end.

        Args:
            folder: Key of the folder.
            arrays: The arrays and their attributes by name.

        Raises:
            RepositoryError: One is an array of Python objects.
            OSError: The store cannot be written; no blob has appeared.
        """
        encoded = [encode(host(a), more, self.compression) for a, more in arrays.values()]
        return dict(zip(arrays, self.add(folder, encoded), strict=True))

    def document(self, folder: str, digest: str) -> Document:
        """Return the verified metadata of a blob.

        Raises:
            RepositoryError: Its ``zarr.json`` is missing or damaged.
        """
        key = f"{_key(folder, digest)}/zarr.json"
        data = self._files.read(key, is_digest(digest))
        try:
            return parsed(data)
        except ValueError as error:
            raise damaged(self._store.location(key), str(error)) from error

    def stored(self, folder: str, digest: str) -> Document:
        """Return the metadata of a blob, from memory if this object stored it last.

        Raises:
            RepositoryError: It had to be read, and is missing or damaged.
        """
        return self._fresh.get(digest) or self.document(folder, digest)

    def get(self, folder: str, digest: str) -> Stored:
        """Return the array and attributes of a blob, verified.

        Raises:
            RepositoryError: A file is missing or damaged, or there is not enough memory.
        """
        document = self.document(folder, digest)
        attributes = document["attributes"]
        with reading(self._store.location(f"{folder}/{digest}/zarr.json")):
            if not vector_pieces.sources(document):
                array = restore(self._chunks.whole(_key(folder, digest), document), document)
            else:
                joined = vector_pieces.joined(
                    vector_pieces.table(document), partial(self._bytes, folder, digest)
                )
                array = joined.view(attributes["dtype"])
        if self._verify:
            self._sound.add(digest)
        return array, {k: v for k, v in attributes.items() if k not in _OURS}

    def part(self, folder: str, digest: str, spans: Sequence[Span]) -> list[Array]:
        """Return byte ranges of a vector; only the chunks that hold them are read and verified.

        Args:
            folder: Key of the folder.
            digest: Digest of the vector's blob.
            spans: Byte ranges ``(start, end)``.

        Raises:
            RepositoryError: A file is missing or damaged.
        """
        document = self.document(folder, digest)
        with reading(self._store.location(f"{folder}/{digest}/zarr.json")):
            found = [vector_pieces.lying(document, *span) for span in spans]
            wanted: defaultdict[str, set[Span]] = defaultdict(set)
            for blob, at, end in chain.from_iterable(found):
                wanted[blob].add((at, end))
            read = {
                blob: self._some(folder, blob or digest, [*some]) for blob, some in wanted.items()
            }
            return [together([read[b][at, end] for b, at, end in places]) for places in found]

    def sums(self, folder: str, digest: str) -> list[str] | None:
        """Return the SHA-256 of all pieces of a vector but the last; None if chunks differ."""
        document = self.stored(folder, digest)
        named = document["attributes"]["sha256"][:-1]
        whole = in_pieces(document) and not vector_pieces.sources(document)
        return named if whole and all(isinstance(sha256, str) for sha256 in named) else None

    def audit(self, folder: str, digests: Iterable[str]) -> dict[str, str]:
        """Read and hash blobs; return the defect of every file, ``""`` if it is sound."""
        found: dict[str, str] = {}
        sums: dict[str, Sum] = {}
        for key in (_key(folder, digest) for digest in sorted(set(digests))):
            file = f"{key}/zarr.json"
            found[file] = self._files.wrong(file, key.rpartition("/")[2])
            if found[file]:
                continue
            try:
                named = self.document(folder, key.rpartition("/")[2])["attributes"]["sha256"]
            except RepositoryError as error:  # removed meanwhile
                found[file] = error.asked
            else:
                sums |= {f"{key}/c.{n}": digest for n, digest in enumerate(named)}
        with ThreadPoolExecutor(self._store.at_once) as readers:
            found |= zip(sums, readers.map(self._files.wrong, sums, sums.values()), strict=True)
        return {self._store.location(key): what for key, what in found.items()}

    def heal(self, key: str, others: Sequence[Store]) -> str:
        """Replace a damaged file by a copy; return the location of the copy, ``""`` if none.

        Args:
            key: ``<folder>/<digest>/<name>``.
            others: More stores that may have a copy.

        Raises:
            OSError: The store cannot be written.
        """
        folder, digest, name = key.rsplit("/", 2)
        if name == "zarr.json":
            return self._files.heal(key, is_digest(digest), others)
        with suppress(RepositoryError):
            named = self.document(folder, digest)["attributes"]["sha256"][int(name[2:])]
            return self._files.heal(key, lambda data: is_of(io.BytesIO(data), named), others)
        return ""

    def remove(self, folder: str, digests: Iterable[str]) -> None:
        """Remove blobs from the folder of this key."""
        self._store.remove(*(_key(folder, digest) for digest in digests))

    def lacks(self, folder: str, digests: Iterable[str]) -> bool:
        """Return whether any of these blobs is missing: collected before a record named it."""
        keys = [f"{_key(folder, digest)}/zarr.json" for digest in digests]
        return not all(map(self._store.exists, keys))

    def usable(self, folder: str, digest: str) -> int | None:
        """Set a blob's time to now; return its array's size in bytes, None if damaged.

        Chunks are read and hashed unless this object has written or verified them, or the
        store is remote.
        """
        if not self._store.touch(_key(folder, digest)):
            return None
        if digest not in self._sound and not self._store.is_remote:
            if any(self.audit(folder, [digest]).values()):
                return None
            self._sound.add(digest)
        with suppress(RepositoryError):
            return flat_nbytes(self.document(folder, digest))
        return None

    def add(self, folder: str, encoded: Sequence[Encoded]) -> list[str]:
        """Store encoded arrays as `put` does; return the digest of each."""
        with self._store.staging(len(encoded)) as stages:
            written = self._write(stages, encoded)
            digests = [digest for digest, _ in written]
            made = dict(zip(digests, stages, strict=True))
            self._fresh = dict(written) or self._fresh
            there = {d: key for d in made if self._store.touch(key := _key(folder, d))}
            damaged = [key for d, key in there.items() if any(self.audit(folder, [d]).values())]
            self._store.remove(*damaged)
            finished = {_key(folder, digest): stage for digest, stage in made.items()}
            self._store.adopt(finished, {*there.values()} - {*damaged})
        self._sound |= made.keys()
        return digests

    def _write(
        self, stages: Sequence[Path], arrays: Sequence[Encoded]
    ) -> list[tuple[str, Document]]:
        both = list(zip(stages, arrays, strict=True))
        if all(len(array.chunks) < 2 for array in arrays):
            return [_blob(stage, array, map, self._store.write) for stage, array in both]
        written: list[Future[None]] = []
        with ThreadPoolExecutor(_THREADS) as hashers, ThreadPoolExecutor(_WRITERS) as writers:

            def write(path: Path, *parts: bytes | memoryview) -> None:
                written.append(writers.submit(self._store.write, path, *parts))

            made = [_blob(stage, array, hashers.map, write) for stage, array in both]
        for future in written:
            future.result()
        return made

    def _some(self, folder: str, digest: str, spans: Sequence[Span]) -> dict[Span, Array]:
        document = self.document(folder, digest)
        parts = self._chunks.parts(_key(folder, digest), document, spans)
        return dict(zip(spans, parts, strict=True))

    def _bytes(self, folder: str, owner: str, digest: str) -> Array:
        """Return the bytes of a blob's array; an empty digest means the owner."""
        digest = digest or owner
        document = self.document(folder, digest)
        return self._chunks.whole(_key(folder, digest), document).view(np.uint8)


def _key(folder: str, digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise RepositoryError(f"{digest!r} in {folder} is not the digest of a blob")
    return f"{folder}/{digest}"


def _blob(
    stage: Path, array: Encoded, each: Callable[..., Iterable[Sum]], write: Callable[..., None]
) -> tuple[str, Document]:
    """Write and hash the files of a blob concurrently; return its digest and metadata."""
    for n, chunk in enumerate(array.chunks):
        write(stage / f"c.{n}", *(buffer for part in chunk for buffer in part))
    attributes = {**array.document["attributes"], "sha256": list(each(of_chunk, array.chunks))}
    whole = {**array.document, "attributes": attributes}
    document = json.dumps(whole, separators=(",", ":")).encode()
    write(stage / "zarr.json", document)
    return sha256([document]), whole
