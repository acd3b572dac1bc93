"""Locks of the operating system on files and folders, released when their process ends."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from aeros_zarr.locks.messages import Locked
from aeros_zarr.locks.owner import Holder

__all__ = ["FileLock", "is_locked", "locked"]

_LONGEST = 4096


def locked(folder: Path) -> int:
    """Lock a folder, if the file system supports it; return the descriptor that holds the lock."""
    descriptor = os.open(folder, os.O_RDONLY)
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def is_locked(path: Path) -> bool:
    """Return whether a live process holds a file or folder, or access to it is denied.

    Raises:
        FileNotFoundError: There is nothing at the path.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except PermissionError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


class FileLock:
    """A file locked by this process; the lock is released when the process ends, even if killed.

    Args:
        path: The file, created if missing, and removed by `release`.
        holder: Description of this process, written to the file.

    Raises:
        Locked: Another process holds the lock.
        OSError: The file system does not support locks, or access fails.
    """

    def __init__(self, path: Path, holder: Holder) -> None:
        self._path = path
        self._descriptor = _exclusive(path)
        _HELD.add(self._descriptor)
        with suppress(OSError):  # disk full: the lock holds without a description
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, holder.dump(), 0)

    def check(self) -> None:
        """Do nothing: the lock of a live process is never taken over."""

    def release(self) -> None:
        """Remove the file and release the lock."""
        if self._descriptor in _HELD:
            _HELD.discard(self._descriptor)
            with suppress(OSError):
                self._path.unlink()
            os.close(self._descriptor)


_HELD: set[int] = set()
"""Descriptors that a forked child has to close, as it would keep the locks otherwise."""


def _let_go() -> None:
    while _HELD:
        with suppress(OSError):
            os.close(_HELD.pop())


os.register_at_fork(after_in_child=_let_go)


def _exclusive(path: Path) -> int:
    """Lock the file at a path; retry if the file was removed between opening and locking."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        except BlockingIOError:
            written = os.pread(descriptor, _LONGEST, 0)
            os.close(descriptor)
            raise Locked(Holder.of(written)) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
