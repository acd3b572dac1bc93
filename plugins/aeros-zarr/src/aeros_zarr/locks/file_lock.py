"""Locks of the operating system on files and folders: they end with the process that holds them."""

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
    """Return a descriptor that keeps a folder locked, where the file system can, until it ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def is_locked(path: Path) -> bool:
    """Tell whether a process that lives holds a file or folder, or this user may not ask.

    Raises:
        FileNotFoundError: There is none.
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
    """A file that this process has locked; the lock ends with the process, however that ends.

    Args:
        path: The file, made if need be, and removed by `release`.
        holder: What it says of this process.

    Raises:
        Locked: Another process has locked it.
        OSError: The file system has no locks, or refuses.
    """

    def __init__(self, path: Path, holder: Holder) -> None:
        self._path = path
        self._descriptor = _exclusive(path)
        _HELD.add(self._descriptor)
        with suppress(OSError):  # a full disk: the lock holds, and says nothing
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, holder.dump(), 0)

    def check(self) -> None:
        """Do nothing: nobody takes it from a process that lives."""

    def release(self) -> None:
        """Remove the file, and let others lock one of its name."""
        if self._descriptor in _HELD:
            _HELD.discard(self._descriptor)
            with suppress(OSError):
                self._path.unlink()
            os.close(self._descriptor)


_HELD: set[int] = set()
"""Descriptors whose locks a forked process would hold on, if it kept them open."""


def _let_go() -> None:
    while _HELD:
        with suppress(OSError):
            os.close(_HELD.pop())


os.register_at_fork(after_in_child=_let_go)


def _exclusive(path: Path) -> int:
    """Lock the file that is at a path, and not one that was removed meanwhile."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        except BlockingIOError:
            said = os.pread(descriptor, _LONGEST, 0)
            os.close(descriptor)
            raise Locked(Holder.of(said)) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
