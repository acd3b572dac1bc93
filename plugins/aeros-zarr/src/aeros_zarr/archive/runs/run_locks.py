"""The runs that this process holds, so that no other one goes on with them meanwhile."""

from __future__ import annotations

from aeros_zarr.format.marker import FormatMarker
from aeros_zarr.locks.messages import Locked, Lost, held, taken_over
from aeros_zarr.locks.owner import Holder
from aeros_zarr.stores.errors import repository_errors
from aeros_zarr.stores.names import check
from aeros_zarr.stores.store import Lock, Store

__all__ = ["RunLocks"]


class RunLocks:
    """Locks runs: in a folder by the operating system, in a bucket by a lease.

    Args:
        store: Where the runs lie.
        marker: Its marker.
    """

    def __init__(self, store: Store, marker: FormatMarker) -> None:
        self._store = store
        self._marker = marker
        self._held: dict[str, Lock] = {}

    def acquire(self, run: str) -> None:
        """Hold a run until `release`, or until this process ends.

        Raises:
            ConfigError: Another process holds it, or this one already.
            RepositoryError: The store refuses.
        """
        folder = f"runs/{check('run', run)}"
        self._marker.set()
        try:
            with repository_errors(f"run '{run}' could not be held", self._store):
                self._held[run] = self._store.lock(folder, Holder.here())
        except Locked as error:
            raise held(run, error) from None

    def release(self, run: str) -> None:
        """Let others hold a run; one that is not held is no fault."""
        if lock := self._held.pop(run, None):
            lock.release()

    def check(self, run: str) -> None:
        """Make sure that the store is a repository, and that a run is not held by others.

        A run that this process does not hold, as nobody has asked it to, may be written.

        Raises:
            ConfigError: The store is somebody else's.
            RepositoryError: It has; or the store does not answer, so that nobody knows.
        """
        self._marker.check()
        if run not in self._held:
            return
        try:
            with repository_errors(f"run '{run}' may be held by others", self._store):
                self._held[run].check()
        except Lost as error:
            raise taken_over(run, error) from None
