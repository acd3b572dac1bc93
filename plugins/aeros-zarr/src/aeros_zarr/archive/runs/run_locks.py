"""Locks of runs held by this process, so that no other process resumes them meanwhile."""

from __future__ import annotations

from aeros_zarr.format.marker import FormatMarker
from aeros_zarr.locks.messages import Locked, Lost, held, taken_over
from aeros_zarr.locks.owner import Holder
from aeros_zarr.stores.errors import repository_errors
from aeros_zarr.stores.names import check
from aeros_zarr.stores.store import Lock, Store

__all__ = ["RunLocks"]


class RunLocks:
    """Locks of runs: by the operating system in a folder, by a lease in a bucket.

    Args:
        store: The store that holds the runs.
        marker: The marker of the store.
    """

    def __init__(self, store: Store, marker: FormatMarker) -> None:
        self._store = store
        self._marker = marker
        self._held: dict[str, Lock] = {}

    def acquire(self, run: str) -> None:
        """Lock a run until `release`, or until this process ends.

        Raises:
            ConfigError: Another process holds the run, or this one already does.
            RepositoryError: The store cannot be written.
        """
        folder = f"runs/{check('run', run)}"
        self._marker.set()
        try:
            with repository_errors(f"run '{run}' could not be held", self._store):
                self._held[run] = self._store.lock(folder, Holder.here())
        except Locked as error:
            raise held(run, error) from None

    def release(self, run: str) -> None:
        """Release the lock of a run; a run that is not locked is ignored."""
        if lock := self._held.pop(run, None):
            lock.release()

    def check(self, run: str) -> None:
        """Check that the store is a repository, and that a locked run is still held.

        A run that this process never locked may be written.

        Raises:
            ConfigError: The store belongs to another program.
            RepositoryError: Another process has taken the run over; or the store does not
                respond, so the holder is unknown.
        """
        self._marker.check()
        if run not in self._held:
            return
        try:
            with repository_errors(f"run '{run}' may be held by others", self._store):
                self._held[run].check()
        except Lost as error:
            raise taken_over(run, error) from None
