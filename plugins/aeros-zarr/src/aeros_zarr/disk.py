"""A folder in which files and folders appear whole or not at all.

Keys are paths relative to the root, with ``/``: what an object store has too. Nothing is
changed in place. A file or a folder is first written under ``tmp/``, brought to stable
storage, and then moved to its key by one system call.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from io import BufferedReader
from pathlib import Path

from aeros_zarr.keys import HIDDEN, hidden

__all__ = ["Disk"]

_ABANDONED = 24 * 3600.0
_AT_ONCE = 2**20


class Disk:
    """Durable, atomic files below one folder.

    Every method lets OSError through; `aeros_zarr.faults.explained` words it.

    Args:
        root: The folder; made by the first method that writes.
        durable: Whether to wait for stable storage.
    """

    at_once = min(4, os.cpu_count() or 1)
    is_remote = False

    def __init__(self, root: Path, *, durable: bool) -> None:
        self.root = root
        self._path = str(root)
        self._durable = durable

    def place(self, key: str = "") -> str:
        """Return the path of what lies at ``key``."""
        return f"{self._path}/{key}" if key else self._path

    def free(self) -> int:
        """Return the free bytes of the disk."""
        return shutil.disk_usage(self.root).free

    def names(self, key: str) -> list[str]:
        """Return the names within a folder, sorted; none where there is no folder."""
        try:
            return sorted(entry.name for entry in os.scandir(self.root / key))
        except FileNotFoundError:
            return []

    def exists(self, key: str) -> bool:
        """Tell whether something lies at ``key``."""
        return (self.root / key).exists()

    def read(self, key: str) -> bytes:
        """Return a file."""
        descriptor = os.open(f"{self._path}/{key}", os.O_RDONLY)  # half of what a file object takes
        try:
            return b"".join(iter(partial(os.read, descriptor, _AT_ONCE), b""))
        finally:
            os.close(descriptor)

    def open(self, key: str, *, cached: bool = True) -> BufferedReader:  # noqa: ARG002
        """Open a file for reading; there is no cache."""
        return (self.root / key).open("rb")

    def drop(self, key: str) -> bool:  # noqa: ARG002
        """There is no cache."""
        return False

    def replace(self, key: str, data: bytes, *, lasting: bool = True) -> None:
        """Write a file; whoever reads it meanwhile sees the old one or the new one."""
        with self._staged(key, data, lasting=lasting) as file:
            file.replace(self.root / key)
        if lasting:
            self._sync((self.root / key).parent)

    def create(self, key: str, data: bytes) -> bool:
        """Write a file unless there is one: of many who try, one gets True."""
        with self._staged(key, data) as file:
            try:
                (self.root / key).hardlink_to(file)
            except FileExistsError:
                return False
        self._sync((self.root / key).parent)
        return True

    def remove(self, *keys: str) -> None:
        """Remove files and folders, in this order; what is gone already is no fault.

        A folder goes as a whole too: nobody ever finds a part of it at its key.
        """
        for key in keys:
            path = self.root / key
            if path.is_dir():
                self._folder(self.root / "tmp")
                with suppress(FileNotFoundError):
                    shutil.rmtree(path.rename(self._unique()), ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    @contextmanager
    def staging(self, folders: int) -> Iterator[list[Path]]:
        """Yield new folders under ``tmp/``; those not adopted are gone at the end."""
        self._folder(self.root / "tmp")
        stages = [self._unique() for _ in range(folders)]
        locks: list[int] = []
        try:
            for stage in stages:
                stage.mkdir()
                locks.append(_locked(stage))
            yield stages
        finally:
            for lock in locks:
                os.close(lock)
            for stage in stages:
                if stage.exists():
                    shutil.rmtree(stage, ignore_errors=True)

    def write(self, path: Path, *parts: bytes | memoryview) -> None:
        """Write the parts one behind the other to a new file in a staging folder."""
        with path.open("xb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            if self._durable:
                os.fsync(file.fileno())

    def adopt(self, folders: Mapping[str, Path]) -> None:
        """Move finished folders from a staging folder to their keys.

        One that is there already stays as it is. All are on stable storage at the end.
        """
        for key, folder in folders.items():
            self._sync(folder)
            self._folder((self.root / key).parent)
            _move(folder, self.root / key)
        for parent in {(self.root / key).parent for key in folders}:
            self._sync(parent)

    def sweep(self) -> None:
        """Remove what killed processes left under ``tmp/`` more than a day ago.

        Whatever the clock says, the folder of a process that lives stays: it is locked.
        """
        names = [name for name in self.names("tmp") if not name.startswith(HIDDEN)]
        before = self.now() - _ABANDONED if names else 0.0
        for name in names:
            path = self.root / "tmp" / name
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before and not _is_locked(path):
                    self.remove(f"tmp/{name}")

    def touch(self, key: str) -> bool:
        """Let a folder count as written now; False if it is not there."""
        try:
            os.utime(self.root / key)
        except FileNotFoundError:
            return False
        return True

    def now(self) -> float:
        """Return the time by the clock of the disk, which may be another machine's."""
        with self.staging(1) as [stage]:
            return stage.stat().st_mtime

    def written(self, key: str) -> float | None:
        """Return when a folder was written or touched; None if it is not there."""
        try:
            return (self.root / key).stat().st_mtime
        except FileNotFoundError:
            return None

    def hide(self, key: str, before: float) -> bool:
        """Move a folder out of sight unless written or touched since; tell whether.

        It is looked at once more after it was moved: who touched it before finds it back,
        who touches it after learns that it is gone.
        """
        path, aside = self.root / key, self.root / hidden(key)
        if (self.written(key) or before) >= before:
            return False
        self._folder(aside.parent)
        try:
            path.rename(aside)
        except OSError as error:  # somebody else has taken it, or has hidden another one
            if error.errno in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY):
                return False
            raise
        if aside.stat().st_mtime < before:
            return True
        self.bring_back(key)
        return False

    def bring_back(self, key: str) -> None:
        """Let a hidden folder appear again, unless another one is there meanwhile."""
        aside = self.root / hidden(key)
        with suppress(FileNotFoundError):
            _move(aside, self.root / key)
            shutil.rmtree(aside, ignore_errors=True)

    def discard(self, key: str, before: float) -> int:  # noqa: ARG002
        """Remove a hidden folder; return its bytes."""
        aside, gone = self.root / hidden(key), self._unique()
        try:
            aside.rename(gone)
        except FileNotFoundError:
            return 0
        nbytes = sum(file.stat().st_size for file in gone.iterdir())
        shutil.rmtree(gone, ignore_errors=True)
        return nbytes

    @contextmanager
    def _staged(self, key: str, data: bytes, *, lasting: bool = True) -> Iterator[Path]:
        self._folder(self.root / "tmp")
        self._folder((self.root / key).parent)
        file = self._unique()
        try:
            if lasting:
                self.write(file, data)
            else:
                file.write_bytes(data)
            yield file
        finally:
            file.unlink(missing_ok=True)

    def _unique(self) -> Path:
        return self.root / "tmp" / f"{os.getpid()}-{secrets.token_hex(6)}"

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


def _locked(folder: Path) -> int:
    """Return a descriptor that keeps a folder locked, where the file system can, until it ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def _is_locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _move(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
