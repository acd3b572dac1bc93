"""A folder with atomic writes: files and folders appear complete or not at all.

Keys are paths relative to the root, with ``/``, as in an object store. Nothing is changed in
place. A file or folder is first written under ``tmp/``, flushed to stable storage (fsync), and
then moved to its key by one system call. Files of other programs, at any place and under any
name, are neither moved nor removed (`aeros_zarr.stores.scratch`).
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from io import BufferedReader
from pathlib import Path

from aeros_zarr.locks.file_lock import FileLock, is_locked, locked
from aeros_zarr.locks.owner import Holder
from aeros_zarr.stores import scratch
from aeros_zarr.stores.layout import SCRATCH, hidden, is_blob, is_old_scratch, is_scratch
from aeros_zarr.stores.lease import Lease
from aeros_zarr.stores.store import Lock

__all__ = ["Disk"]

_ABANDONED = 24 * 3600.0
_AT_ONCE = 2**20


class Disk:
    """Durable, atomic files below one folder.

    Methods raise OSError, which `aeros_zarr.stores.errors.repository_errors` translates.

    Args:
        root: The folder, created on first write.
        durable: Wait until writes are on stable storage (fsync).
    """

    at_once = min(4, os.cpu_count() or 1)
    is_remote = False

    def __init__(self, root: Path, *, durable: bool) -> None:
        self.root = root
        self._path = str(root)
        self._durable = durable

    def location(self, key: str = "") -> str:
        """Return the path of ``key``."""
        return f"{self._path}/{key}" if key else self._path

    def free(self) -> int:
        """Return the number of free bytes of the disk."""
        return shutil.disk_usage(self.root).free

    def names(self, key: str) -> list[str]:
        """Return the names within a folder, sorted; an empty list if it does not exist."""
        return sorted(entry.name for entry in self._entries(key))

    def files(self, key: str) -> list[str]:
        """Return the names of the files within a folder, sorted."""
        return sorted(entry.name for entry in self._entries(key) if entry.is_file())

    def folders(self, key: str) -> list[str]:
        """Return the names of the folders within a folder, sorted."""
        return sorted(entry.name for entry in self._entries(key) if entry.is_dir())

    def exists(self, key: str) -> bool:
        """Return whether there is a file or folder at ``key``."""
        return (self.root / key).exists()

    def read(self, key: str) -> bytes:
        """Return the content of a file."""
        descriptor = os.open(f"{self._path}/{key}", os.O_RDONLY)  # half the time of a file object
        try:
            return b"".join(iter(partial(os.read, descriptor, _AT_ONCE), b""))
        finally:
            os.close(descriptor)

    def open(self, key: str, *, cached: bool = True) -> BufferedReader:  # noqa: ARG002
        """Open a file for reading; a disk has no cache."""
        return (self.root / key).open("rb")

    def drop(self, key: str) -> bool:  # noqa: ARG002
        """Return False: a disk has no cache."""
        return False

    def replace(self, key: str, data: bytes, *, lasting: bool = True) -> None:
        """Write a file atomically: concurrent readers see the old or the new content."""
        with self._staged(key, data, lasting=lasting) as file:
            file.replace(self.root / key)
        if lasting:
            self._sync((self.root / key).parent)

    def create(self, key: str, data: bytes) -> bool:
        """Create a file unless it exists; of concurrent callers exactly one gets True."""
        with self._staged(key, data) as file:
            try:
                (self.root / key).hardlink_to(file)
            except FileExistsError:
                return False
        self._sync((self.root / key).parent)
        return True

    def remove(self, *keys: str) -> None:
        """Remove files and blobs, in this order; missing ones are ignored.

        A blob is removed atomically: no part of it is ever visible at its key. If its folder
        has other content, only the files of the blob are removed.
        """
        for key in keys:
            path = self.root / key
            if not is_blob(key):
                path.unlink(missing_ok=True)
                continue
            with suppress(FileNotFoundError, NotADirectoryError):
                self._folder(self.root / "tmp")
                scratch.remove_blob(path, self._unique())

    @contextmanager
    def staging(self, folders: int) -> Iterator[list[Path]]:
        """Yield new folders under ``tmp/``; those not adopted are removed at the end."""
        self._folder(self.root / "tmp")
        stages = [self._unique() for _ in range(folders)]
        locks: list[int] = []
        try:
            for stage in stages:
                stage.mkdir()
                locks.append(locked(stage))
            yield stages
        finally:
            for lock in locks:
                os.close(lock)
            for stage in stages:
                if stage.exists():
                    scratch.clear_folder(stage)

    def write(self, path: Path, *parts: bytes | memoryview) -> None:
        """Write the concatenated parts to a new file in a staging folder."""
        with path.open("xb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            if self._durable:
                os.fsync(file.fileno())

    def adopt(self, folders: Mapping[str, Path], there: Collection[str] = ()) -> None:  # noqa: ARG002
        """Move finished staging folders to their keys.

        Existing ones stay unchanged. All are on stable storage at the end.
        """
        for key, folder in folders.items():
            self._sync(folder)
            self._folder((self.root / key).parent)
            if not scratch.moved(folder, self.root / key):
                scratch.fill(folder, self.root / key)
        for parent in {(self.root / key).parent for key in folders}:
            self._sync(parent)

    def sweep(self) -> None:
        """Remove what killed processes left under ``tmp/`` more than a day ago.

        Only files written by aeros are removed, and never the folder of a live process, whatever
        the clock shows: it is locked.
        """
        names = [f"tmp/{name}" for name in self.names("tmp")] + self.names("")
        names = [name for name in names if is_scratch(name)]
        before = self.now() - _ABANDONED if names else 0.0
        for name, path in ((name, self.root / name) for name in names):
            with suppress(FileNotFoundError):
                ours = path.lstat().st_mtime < before
                ours = ours and scratch.is_ours(path, old=is_old_scratch(name))
                if ours and not is_locked(path):
                    scratch.clear(path)

    def lock(self, folder: str, holder: Holder) -> Lock:
        """Lock a folder by its file ``lock.json``, or by a lease if that is not supported.

        Raises:
            Locked: Another process holds the lock.
        """
        self._folder(self.root / folder)
        try:
            return FileLock(self.root / folder / "lock.json", holder)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                raise
        return Lease(self, f"{folder}/lock", holder)

    def touch(self, key: str) -> bool:
        """Set the time of a folder to now; return False if it does not exist."""
        try:
            os.utime(self.root / key)
        except FileNotFoundError:
            return False
        return True

    def now(self) -> float:
        """Return the current time of the file system's clock, in seconds; it may be a server's."""
        with self.staging(1) as [stage]:
            return stage.stat().st_mtime

    def modified(self, key: str) -> float | None:
        """Return when a file was written; None if it does not exist."""
        return self.written(key)

    def written(self, key: str) -> float | None:
        """Return when a folder was written or touched; None if it does not exist."""
        try:
            return (self.root / key).stat().st_mtime
        except FileNotFoundError:
            return None

    def hide(self, key: str, before: float) -> bool:
        """Hide a blob unless written or touched since; return whether it was hidden.

        Its time is checked again after the move: a blob touched before the move is restored,
        and `touch` returns False after it. A folder with content other than the files of a
        blob is not moved.
        """
        path, aside = self.root / key, self.root / hidden(key)
        if (self.written(key) or before) >= before:
            return False
        self._folder(aside.parent)
        try:
            if scratch.files(path) is None:
                return False
            path.rename(aside)
            if aside.stat().st_mtime < before:
                return True
        except OSError as error:  # another process was faster
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY):
                return False
            raise
        self.bring_back(key)
        return False

    def bring_back(self, key: str) -> None:
        """Restore a hidden blob, unless another one exists at its key by now."""
        aside = self.root / hidden(key)
        with suppress(FileNotFoundError, NotADirectoryError):
            if scratch.files(aside) is not None and not scratch.moved(aside, self.root / key):
                scratch.clear_folder(aside)

    def discard(self, key: str, before: float) -> int:  # noqa: ARG002
        """Remove a hidden blob; return the number of bytes removed."""
        aside, gone = self.root / hidden(key), self._unique()
        try:
            if scratch.files(aside) is None:
                return 0
            aside.rename(gone)
        except (FileNotFoundError, NotADirectoryError):
            return 0
        return scratch.clear_folder(gone)

    def _entries(self, key: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / key) as entries:
                return list(entries)
        except (FileNotFoundError, NotADirectoryError):
            return []

    @contextmanager
    def _staged(self, key: str, data: bytes, *, lasting: bool = True) -> Iterator[Path]:
        self._folder((self.root / key).parent)
        if "/" in key:
            self._folder(self.root / "tmp")
        # a file at the root marks the folder as a repository: it must be the first entry in it
        file = self._unique() if "/" in key else self.root / f".{self._unique().name}"
        try:
            if lasting:
                self.write(file, data)
            else:
                file.write_bytes(data)
            yield file
        finally:
            file.unlink(missing_ok=True)

    def _unique(self) -> Path:
        return self.root / "tmp" / f"{SCRATCH}{os.getpid()}-{secrets.token_hex(8)}"

    def _folder(self, path: Path) -> None:
        if path.is_dir():
            return
        self._folder(path.parent)
        path.mkdir(exist_ok=True)
        self._sync(path.parent)

    def _sync(self, folder: Path) -> None:
        if not self._durable:
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
