"""``format.json``: the marker that makes a place a repository, and its format version.

Every record repeats the format version, so a store with a damaged marker can be read: a warning
is logged, and the marker is rewritten with the next record. A store of a newer version is
rejected. Folders named like those of a repository, but without a marker, belong to another
program: nothing is written or removed there.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count

from aeros_core.errors import ConfigError, RepositoryError
from aeros_zarr.format import manifest
from aeros_zarr.stores.errors import repository_errors
from aeros_zarr.stores.layout import ROOTS, named, numbers, stems
from aeros_zarr.stores.store import Store

__all__ = ["FormatMarker"]

_log = logging.getLogger(__name__)

_LOST = "it is missing"


class FormatMarker:
    """The marker of a store, created with the first record.

    Args:
        store: The store.
        elsewhere: Returns the option to type for a folder below this place.

    Raises:
        RepositoryError: The store was written by a newer version, or cannot be reached.
    """

    KEY = "format.json"

    def __init__(self, store: Store, elsewhere: Callable[[str], str] = str) -> None:
        self._store = store
        self._elsewhere = elsewhere
        with repository_errors("the repository could not be opened", store):
            self._is_current = self._look()

    def set(self) -> None:
        """Write the marker, unless the store has a current one.

        Raises:
            ConfigError: The place belongs to another program.
        """
        if self._is_current:
            return
        with repository_errors("the repository could not be made", self._store):
            self._check()
            self._write()

    def check(self) -> bool:
        """Return whether the place is a repository; False if it is empty.

        Raises:
            ConfigError: The place belongs to another program.
        """
        if self._is_current:
            return True
        with repository_errors("the repository could not be read", self._store):
            return self._check()

    def audit(self) -> dict[str, str]:
        """Verify the marker; return its location and its defect, ``""`` if it is sound."""
        if self._store.exists(self.KEY):
            return manifest.audit(self._store, "repository", [self.KEY])[0]
        return {self._store.location(self.KEY): _LOST} if self._holds_records() else {}

    def heal(self) -> str:
        """Rewrite the marker; return the source of the repair, ``""`` if not repaired."""
        if not (self._store.exists(self.KEY) and self._resembles()) and not self._holds_records():
            return ""
        self._write()
        return "the marker of this version"

    def _write(self) -> None:
        data = manifest.dump("repository", {"format": manifest.FORMAT})
        self._store.replace(self.KEY, data)
        self._is_current = True

    def is_lost(self) -> bool:
        """Return whether the marker is missing although the store holds valid records."""
        return not self._store.exists(self.KEY) and self._holds_records()

    def _check(self) -> bool:
        """Return whether there is a marker, intact or damaged.

        Raises:
            ConfigError: The place belongs to another program.
        """
        there = self._store.names("")
        others = sorted(ROOTS & {*there})
        if self.KEY in there and self._store.exists(self.KEY):
            if self._is_whole() or self._resembles() or self._holds_records():
                return True
            raise self._foreign(f"its {self.KEY} is not that of a repository")
        if others:
            raise self._foreign(f"it has {', '.join(others)} but no {self.KEY}")
        return False

    def _foreign(self, why: str) -> ConfigError:
        records = self._holds_records()
        return ConfigError(
            f"{self._store.location()} is not a repository of aeros: {why}; nothing is written"
            " there",
            exists="records of a repository whose format.json is missing: aeros models verify"
            " --heal rewrites it" if records else "",
            hint=self._elsewhere(self._free()),
        )  # fmt: skip

    def _free(self) -> str:
        """Return the name of a folder below this place that is a repository or empty."""
        return next(
            name for name in map(_another, count(1))
            if not (there := self._store.names(name)) or self.KEY in there
        )  # fmt: skip

    def _is_whole(self) -> bool:
        with suppress(RepositoryError):
            return manifest.read(self._store, "repository", self.KEY) is not None
        return False

    def _resembles(self) -> bool:
        """Return whether a damaged file was a marker: most bytes match, or it was truncated."""
        data = self._store.read(self.KEY)
        for written in range(1, manifest.FORMAT + 1):
            whole = manifest.dump("repository", {"format": manifest.FORMAT})
            whole = whole.replace(b'"format":2,', f'"format":{written},'.encode(), 1)
            same = sum(a == b for a, b in zip(data, whole, strict=False))
            if same > max(len(data), len(whole)) // 2 or (data and whole.startswith(data)):
                return True
        return False

    def _holds_records(self) -> bool:
        """Return whether the store holds at least one valid record."""
        return any(map(self._verifies, self._records()))

    def _records(self) -> Iterator[str]:
        store = self._store
        yield from (f"runs/{run}/run.json" for run in named(store.folders("runs")))
        for folder in (f"models/{name}" for name in named(store.folders("models"))):
            yield from (f"{folder}/{n}.json" for n in numbers(store.files(folder))[-1:])
        for folder in (f"algorithms/{name}" for name in named(store.folders("algorithms"))):
            yield from (f"{folder}/{version}.json" for version in stems(store.files(folder)))

    def _verifies(self, key: str) -> bool:
        with suppress(OSError, ValueError, LookupError, TypeError, RepositoryError):
            data = self._store.read(key)
            manifest.load(json.loads(data)["kind"], data, key)
            return True
        return False

    def _look(self) -> bool:
        try:
            data = self._store.read(self.KEY)
            manifest.load("repository", data, self._store.location(self.KEY))
        except FileNotFoundError:
            return False
        except manifest.Newer:
            raise
        except RepositoryError as error:
            _log.warning("%s", error.asked)
            return False
        return manifest.is_current(data)


def _another(number: int) -> str:
    return "aeros-repository" if number == 1 else f"aeros-repository-{number}"
