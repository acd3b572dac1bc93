"""What keeps a repository sound: everything is hashed, healed from copies, and tidied up."""

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
"""How often damage is looked at once more, as others may write and remove meanwhile."""

_PAUSE = 0.2


class Maintenance:
    """Looks after a store while others use it.

    Args:
        store: What is looked after.
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
        """Read and hash a version, a whole model, or everything: runs and algorithms, too.

        What is damaged is read once more: others may have removed it meanwhile, with all that
        named it.

        Returns:
            Every file that was read, and what is wrong with it: ``""`` if nothing is.

        Raises:
            ConfigError: The name cannot be one.
            RepositoryError: There is no such model, version or tag.
        """
        found = self._audit(name, version)
        for _ in range(_LOOKS):
            if not any(found.values()):
                break
            time.sleep(_PAUSE)  # what others were about to remove, or to name, is done with
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
        """Write what is damaged again, from other copies; return ``{file: where from}``.

        A file of a blob is found by its digest: in another folder of this store, in what
        waits for an upload, in a cache, in another store. A record is taken only from the
        same place in one that is given. What a healed file names comes into sight only then,
        and may be damaged as well; so this goes on until nothing more can be healed.

        Args:
            name: A model; None for everything.
            version: One version of it; None for all.
            others: Stores that are copies of this one.

        Raises:
            ConfigError: The place is somebody else's.
            RepositoryError: There is no such version, or the store refuses.
        """
        if not self._marker.is_lost():
            self._marker.check()
        healed: dict[str, str] = {}
        with repository_errors("what is damaged could not be healed", self._store):
            while True:
                files = self.verify(name, version)
                damaged = [file for file, what in files.items() if what and file not in healed]
                found = {file: self._healed(file, others) for file in damaged}
                found = {file: place for file, place in found.items() if place}
                if not found:
                    return healed
                healed |= found

    def collect(self, seconds: float) -> dict[str, int]:
        """Remove blobs that nothing names, and what was left unfinished; others may write.

        Args:
            seconds: Age from which a blob may go. It has to be longer than anybody takes
                from storing a model's arrays to naming them.

        Returns:
            ``{blob: its bytes}`` of those that are gone.

        Raises:
            ConfigError: The place is somebody else's.
            RepositoryError: A record is damaged, so that nobody knows what it names; or
                the store refuses.
        """
        if not self._marker.check():
            return {}
        with repository_errors("what nothing names could not be removed", self._store):
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
