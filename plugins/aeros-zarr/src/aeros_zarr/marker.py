"""``format.json``: which format a store is of, before anything else of it is read.

Every record says its format too, so a store whose marker is damaged can be read: it is told,
and written again with the next record. A newer store is refused at once.
"""

from __future__ import annotations

import logging

from aeros_core.errors import RepositoryError
from aeros_zarr import manifest
from aeros_zarr.faults import explained
from aeros_zarr.store import Store

__all__ = ["Marker"]

_log = logging.getLogger(__name__)


class Marker:
    """The marker of a store, made with the first record.

    Args:
        store: Where it lies.

    Raises:
        RepositoryError: The store was written by a newer version, or cannot be reached.
    """

    KEY = "format.json"

    def __init__(self, store: Store) -> None:
        self._store = store
        with explained("the repository could not be opened", store):
            self._is_current = self._look()

    def set(self) -> None:
        """Say that the store is of the format that is written, unless it says so already."""
        if self._is_current:
            return
        with explained("the repository could not be made", self._store):
            data = manifest.dump("repository", {"format": manifest.FORMAT})
            self._store.replace(self.KEY, data)
        self._is_current = True

    def audit(self) -> dict[str, str]:
        """Read it; return the file and what is wrong with it, if there is one."""
        if not self._store.exists(self.KEY):
            return {}
        return manifest.audit(self._store, "repository", [self.KEY])[0]

    def heal(self) -> str:
        """Write it again, as it always is; return where that comes from."""
        self._is_current = False
        self.set()
        return "what this version writes"

    def _look(self) -> bool:
        try:
            there = manifest.read(self._store, "repository", self.KEY) is not None
        except manifest.Newer:
            raise
        except RepositoryError as error:
            _log.warning("%s", error.asked)
            return False
        return there and manifest.is_current(self._store, self.KEY)
