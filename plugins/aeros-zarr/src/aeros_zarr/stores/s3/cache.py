"""Files of blobs on the local disk, by the digest of their blob: what was downloaded once.

Any number of processes may use one folder. A file appears whole, under a name that tells
what is in it; whoever reads it hashes it, and drops it where it is not that. The files that
were used longest ago go when there are more bytes than allowed. What others have in that folder is
neither counted nor removed.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import time
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

__all__ = ["Cache"]

_log = logging.getLogger(__name__)

_ROOM = 0.9  # of the bound is left when it was passed
_LOOK = 20  # the folder is looked through once for each 20th of the bound that is added
_ABANDONED = 3600.0

_OURS = re.compile(
    r"(?P<folder>[0-9a-f]{2})/(?P=folder)[0-9a-f]{62}\.(zarr\.json|c\.[0-9]+)(\.[0-9a-f]{12}\.part)?"
)


class Cache:
    """A bounded folder of files; where it cannot be used, nothing fails.

    Args:
        folder: Made when first written to.
        limit: Bytes that are kept, at most; each process may pass it by a 20th for a while.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self._limit = limit
        self._added = limit  # nobody knows what is there: look at the first write
        self._told = False

    def open(self, digest: str, name: str) -> BufferedReader | None:
        """Open a file of a blob; None if it is not here."""
        path = self._path(digest, name)
        try:
            file = path.open("rb")
        except OSError:
            return None
        with suppress(OSError):
            os.utime(path)
        return file

    def add(self, digest: str, name: str, data: bytes | memoryview) -> None:
        """Keep a file of a blob, if there is room for it at all."""
        if len(data) > self._limit:
            return
        path = self._path(digest, name)
        aside = path.with_name(f"{path.name}.{secrets.token_hex(6)}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(data)
            aside.replace(path)
        except OSError as error:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            if not self._told:
                _log.warning("%s is not used: %s", self.folder, error.strerror or error)
                self._told = True
            return
        self._added += len(data)
        if self._added * _LOOK >= self._limit:
            self._shrink(path)

    def drop(self, digest: str, name: str) -> bool:
        """Remove a file; tell whether it was here."""
        try:
            self._path(digest, name).unlink()
        except OSError:
            return False
        return True

    def _path(self, digest: str, name: str) -> Path:
        return self.folder / digest[:2] / f"{digest}.{name}"

    def _shrink(self, newest: Path) -> None:
        """Remove what was used longest ago; not the newest, whatever the clock says."""
        found = []
        for path in filter(_is_ours, self.folder.glob("??/*")):
            with suppress(OSError):  # another process removes it
                stat = path.lstat()
                if path.suffix != ".part":
                    found.append((stat.st_mtime, stat.st_size, path))
                elif time.time() - stat.st_mtime > _ABANDONED:
                    path.unlink()
        total = sum(size for _, size, _ in found)
        if total > self._limit:
            for _, size, path in sorted(each for each in found if each[2] != newest):
                if total <= self._limit * _ROOM:
                    break
                with suppress(OSError):
                    path.unlink()
                total -= size
        self._added = 0


def _is_ours(path: Path) -> bool:
    """Tell whether a file is one of a blob, and no link to anything."""
    name = f"{path.parent.name}/{path.name}"
    return _OURS.fullmatch(name) is not None and path.is_file() and not path.is_symlink()
