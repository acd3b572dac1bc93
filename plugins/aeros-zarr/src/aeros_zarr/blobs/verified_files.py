"""Files of blobs: read and verified, and read from another copy where they are damaged."""

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
"""Tells whether bytes are what a file has to hold."""


class Files:
    """Reads the files of blobs.

    Args:
        store: Where they lie.
        others: Other stores that may have copies of them.
    """

    def __init__(self, store: Store, others: Sequence[Store]) -> None:
        self._store = store
        self._others = others

    def read(self, key: str, check: Check) -> bytes:
        """Return a whole file.

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
        """Read a chunk file to where it goes; its last bytes are padding.

        Args:
            key: The file.
            named: Its sum.
            data: Takes what is not padding.
            padding: Bytes of padding.
            verify: Whether to hash it; without, only another length is found.

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
        """Return what is wrong with a file as it is stored, not cached; ``""`` if nothing is."""
        try:
            with self._store.open(key, cached=False) as file:
                return "" if is_of(file, named) else said(self._changed(key))
        except FileNotFoundError:
            return "it is missing"

    def heal(self, key: str, check: Check, others: Sequence[Store]) -> str:
        """Write a file again from another copy; return where that is, ``""`` if there is none.

        Raises:
            OSError: The store refuses.
        """
        for place, data in replicas.of_blob([self._store, *self._others, *others], key):
            if check(data):
                self._store.replace(key, data)
                return place
        return ""

    def _copy(self, key: str, check: Check, missing: OSError | None) -> bytes:
        """Return another copy of a file; reading writes nothing, so the file stays as it is."""
        for place, data in replicas.of_blob([self._store, *self._others], key):
            if check(data):
                _log.warning(
                    "%s is %s, and read from %s; aeros models verify --heal writes it again",
                    key, "missing" if missing else "damaged", place,
                )  # fmt: skip
                return data
        if missing:
            raise damaged(self._store.location(key), "it is missing") from missing
        raise self._changed(key)

    def _changed(self, key: str) -> RepositoryError:
        return damaged(self._store.location(key), "its SHA-256 is not the one it was stored with")


def is_digest(digest: str) -> Check:
    """Return the check of a file whose SHA-256 is known."""
    return lambda data: sha256([data]) == digest
