"""Local cache of downloaded files of blobs, by the digest of their blob.

Any number of processes may share a folder. A file appears complete, under a name that implies
its content; readers hash it and drop it on a mismatch. When the cache exceeds its limit, the
least recently used files are removed. Files of other programs in that folder are neither counted
nor removed.
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

_ROOM = 0.9  # fraction of the limit that is left after shrinking
_LOOK = 20  # the folder is scanned after each 1/20 of the limit that is added
_ABANDONED = 3600.0

_OURS = re.compile(
    r"(?P<folder>[0-9a-f]{2})/(?P=folder)[0-9a-f]{62}\.(zarr\.json|c\.[0-9]+)(\.[0-9a-f]{12}\.part)?"
)


class Cache:
    """A folder of cached files with a size limit; errors disable it and are not raised.

    Args:
        folder: The folder, created on first write.
        limit: Maximum bytes; each process may exceed it by 1/20 temporarily.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self._limit = limit
        self._added = limit  # the present size is unknown: scan at the first write
        self._warned = False

    def open(self, digest: str, name: str) -> BufferedReader | None:
        """Open a file of a blob; return None if it is not cached."""
        path = self._path(digest, name)
        try:
            file = path.open("rb")
        except OSError:
            return None
        with suppress(OSError):
            os.utime(path)
        return file

    def add(self, digest: str, name: str, data: bytes | memoryview) -> None:
        """Store a file of a blob, unless it exceeds the limit by itself."""
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
            if not self._warned:
                _log.warning("%s is not used: %s", self.folder, error.strerror or error)
                self._warned = True
            return
        self._added += len(data)
        if self._added * _LOOK >= self._limit:
            self._shrink(path)

    def drop(self, digest: str, name: str) -> bool:
        """Remove a file; return whether it was cached."""
        try:
            self._path(digest, name).unlink()
        except OSError:
            return False
        return True

    def _path(self, digest: str, name: str) -> Path:
        return self.folder / digest[:2] / f"{digest}.{name}"

    def _shrink(self, newest: Path) -> None:
        """Remove least recently used files, but never the newest, even if clocks jump."""
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
    """Return whether a path is a cached file, and not a symbolic link."""
    name = f"{path.parent.name}/{path.name}"
    return _OURS.fullmatch(name) is not None and path.is_file() and not path.is_symlink()
