"""Verification, repair and garbage collection of a repository."""

from __future__ import annotations

import time
from collections.abc import Sequence

from aeros_zarr.archive.algorithms import Algorithms
from aeros_zarr.archive.models.stored_models import Models
from aeros_zarr.archive.runs.stored_runs import Runs
from aeros_zarr.blobs import garbage_collection, replicas
from aeros_zarr.blobs.blobs import Blobs
from aeros_zarr.format.marker import FormatMarker
from aeros_zarr.stores.errors import repository_errors
from aeros_zarr.stores.store import Store

__all__ = ["Maintenance"]

_LOOKS = 1
"""Repeated checks of damage, as other processes may write and remove files meanwhile."""

_PAUSE = 0.2


class Maintenance:
    """Verification and repair of a store while other processes use it.

    Args:
        store: The store.
        blobs: Its blobs.
        marker: Its marker.
        runs: Its runs.
        models: Its models.
        algorithms: Its algorithms.
    """

    def __init__(
        self, store: Store, blobs: Blobs, marker: FormatMarker, runs: Runs, models: Models,
        algorithms: Algorithms,
    ) -> None:  # fmt: skip
        self._store = store
        self._blobs = blobs
        self._marker = marker
        self._runs = runs
        self._models = models
        self._algorithms = algorithms

    def verify(self, name: str | None, version: int | str | None) -> dict[str, str]:
        """Read and hash a version, a model, or the whole repository with runs and algorithms.

        Damaged files are read a second time, as another process may have removed them meanwhile.

        Args:
            name: A model; None for the whole repository.
            version: One version or tag of it; None for all.

        Returns:
            The defect of every file that was read, ``""`` if it is sound.

        Raises:
            ConfigError: The name is invalid.
            RepositoryError: The model, version or tag does not exist.
        """
        found = self._audit(name, version)
        for _ in range(_LOOKS):
            if not any(found.values()):
                break
            time.sleep(_PAUSE)  # let other processes finish removing or naming
            again = self._audit(name, version)
            found = {file: what if found.get(file) else "" for file, what in again.items()}
        return found

    def _audit(self, name: str | None, version: int | str | None) -> dict[str, str]:
        found = self._models.audit(name, version)
        if name is not None:
            return found
        return found | self._marker.audit() | self._runs.audit() | self._algorithms.audit()

    def heal(
        self, name: str | None, version: int | str | None, others: Sequence[Store]
    ) -> dict[str, str]:
        """Repair damaged files from copies; return ``{file: location of the copy}``.

        Copies of a blob's file are found by its digest: in other folders of this store, in the
        upload spool, in the cache, in other stores. A record is only copied from the same key
        of one of ``others``. A repaired file may name blobs that are damaged as well, so the
        repair is repeated until no more files can be repaired.

        Args:
            name: A model; None for the whole repository.
            version: One version of it; None for all.
            others: Stores that are copies of this one.

        Raises:
            ConfigError: The place belongs to another program.
            RepositoryError: The version does not exist, or the store cannot be written.
        """
        if not self._marker.is_lost():
            self._marker.check()
        healed: dict[str, str] = {}
        with repository_errors("damaged files could not be repaired", self._store):
            while True:
                files = self.verify(name, version)
                damaged = [file for file, what in files.items() if what and file not in healed]
                found = {file: self._healed(file, others) for file in damaged}
                found = {file: place for file, place in found.items() if place}
                if not found:
                    return healed
                healed |= found

    def collect(self, seconds: float) -> dict[str, int]:
        """Remove blobs that no record names, and unfinished writes; other processes may write.

        Args:
            seconds: Minimum age in seconds of a blob that is removed. It must exceed the time
                that any process needs from storing a model's arrays to writing its record.

        Returns:
            ``{location: bytes}`` of the removed blobs.

        Raises:
            ConfigError: The place belongs to another program.
            RepositoryError: A record is damaged, so its blobs are unknown; or the store cannot
                be written.
        """
        if not self._marker.check():
            return {}
        with repository_errors("unused blobs could not be removed", self._store):
            removed = garbage_collection.collect(self._store, "blobs", self._named, seconds)
            removed |= self._runs.collect(seconds)
            self._models.index()
            self._store.sweep()
        return removed

    def _named(self) -> set[str]:
        return self._models.named() | self._algorithms.named()

    def _healed(self, file: str, others: Sequence[Store]) -> str:
        key = file.removeprefix(self._store.location()).lstrip("/")
        if "/blobs/" in f"/{key}":
            return self._blobs.heal(key, others)
        if key == self._marker.KEY:
            return self._marker.heal()
        if "/index/" in key:
            return self._models.listing.heal(key)
        if found := replicas.record(others, key):
            self._store.replace(key, found[1])
            return found[0]
        return ""
