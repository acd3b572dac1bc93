"""Read and verify the files of blobs; fall back to copies of damaged files."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Sequence
from typing import TypeAlias

from aeros_core.errors import RepositoryError
from aeros_zarr.blobs import replicas
from aeros_zarr.blobs.checksums import Sum, copied, is_of, sha256
from aeros_zarr.format.manifest import damaged, said
from aeros_zarr.stores.store import Store

__all__ = ["Check", "Files", "is_digest"]

_log = logging.getLogger(__name__)

Check: TypeAlias = Callable[[bytes], bool]
"""Returns whether bytes are the expected content of a file."""


class Files:
    """Reader of the files of blobs.

    Args:
        store: The store that holds them.
        others: Other stores that may have copies.
    """

    def __init__(self, store: Store, others: Sequence[Store]) -> None:
        self._store = store
        self._others = others

    def read(self, key: str, check: Check) -> bytes:
        """Return the content of a file.

        Raises:
            RepositoryError: It is missing or damaged, and there is no other copy.
        """
        missing: OSError | None = None
        for cached in (True, False):
            try:
                with self._store.open(key, cached=cached) as file:
                    data = file.read() or b""
            except FileNotFoundError as error:
                missing = error
                break
            if check(data):
                return data
            if not self._store.drop(key):
                break
        return self._copy(key, check, missing)

    def fill(
        self, key: str, named: Sum, data: memoryview, padding: int, *, verify: bool = True
    ) -> None:
        """Read a chunk file into a buffer; its last bytes are padding.

        Args:
            key: Key of the file.
            named: Its checksum.
            data: Destination of the bytes before the padding.
            padding: Number of bytes of padding.
            verify: Hash the file; without it only its length is checked.

        Raises:
            RepositoryError: It is missing or damaged, and there is no other copy.
        """
        missing: OSError | None = None
        for cached in (True, False):
            try:
                with self._store.open(key, cached=cached) as file:
                    if copied(file, named if verify else None, data, len(data) + padding):
                        return
            except FileNotFoundError as error:
                missing = error
                break
            if not self._store.drop(key):
                break
        whole = self._copy(key, lambda found: is_of(io.BytesIO(found), named), missing)
        data[:] = whole[: len(data)]

    def wrong(self, key: str, named: Sum) -> str:
        """Return the defect of a stored file, bypassing the cache; ``""`` if it is sound."""
        try:
            with self._store.open(key, cached=False) as file:
                return "" if is_of(file, named) else said(self._changed(key))
        except FileNotFoundError:
            return "it is missing"

    def heal(self, key: str, check: Check, others: Sequence[Store]) -> str:
        """Replace a file by a copy; return the location of the copy, ``""`` if there is none.

        Raises:
            OSError: The store cannot be written.
        """
        for place, data in replicas.of_blob([self._store, *self._others, *others], key):
            if check(data):
                self._store.replace(key, data)
                return place
        return ""

    def _copy(self, key: str, check: Check, missing: OSError | None) -> bytes:
        """Return a copy of a file from elsewhere; the damaged file itself is not changed."""
        for place, data in replicas.of_blob([self._store, *self._others], key):
            if check(data):
                _log.warning(
                    "%s is %s and was read from %s; aeros models verify --heal rewrites it",
                    key, "missing" if missing else "damaged", place,
                )  # fmt: skip
                return data
        if missing:
            raise damaged(self._store.location(key), "it is missing") from missing
        raise self._changed(key)

    def _changed(self, key: str) -> RepositoryError:
        return damaged(self._store.location(key), "its SHA-256 is not the one it was stored with")


def is_digest(digest: str) -> Check:
    """Return a check of the SHA-256 of a file."""
    return lambda data: sha256([data]) == digest
