"""Protocol of the stores that hold runs, models and blobs: a disk or a bucket."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

from aeros_zarr.locks.owner import Holder

__all__ = ["Lock", "Readable", "Store"]


class Readable(AbstractContextManager["Readable"], Protocol):
    """A file that is read sequentially."""

    def read(self, size: int = -1, /) -> bytes | None:
        """Return the next ``size`` bytes, by default all remaining ones."""

    def readinto(self, buffer: memoryview | bytearray, /) -> int | None:
        """Read into a buffer; return the number of bytes read."""


class Lock(Protocol):
    """An exclusive lock held by this process."""

    def check(self) -> None:
        """Check that this process still holds the lock.

        Raises:
            Lost: Another process has taken it over.
        """

    def release(self) -> None:
        """Release the lock."""


@runtime_checkable
class Store(Protocol):
    """Files and folders under keys with ``/``; each appears complete or not at all.

    Methods raise OSError, which `aeros_zarr.stores.errors.repository_errors` translates.
    Times are seconds since the epoch, by the clock of the store (`now`).
    """

    @property
    def at_once(self) -> int:
        """Number of files that are best read concurrently."""

    @property
    def is_remote(self) -> bool:
        """True if reading costs as much as writing, and the service checks stored data itself."""

    def location(self, key: str = "") -> str:
        """Return the path or address of ``key``, for messages."""

    def free(self) -> int | None:
        """Return the number of free bytes, if known."""

    def names(self, key: str) -> list[str]:
        """Return the names within a folder, sorted; an empty list if it does not exist."""

    def files(self, key: str) -> list[str]:
        """Return the names of the files within a folder, sorted."""

    def folders(self, key: str) -> list[str]:
        """Return the names of the folders within a folder, sorted."""

    def exists(self, key: str) -> bool:
        """Return whether there is a file or an adopted folder at ``key``."""

    def read(self, key: str) -> bytes:
        """Return the content of a file."""

    def open(self, key: str, *, cached: bool = True) -> Readable:
        """Open a file for reading; bypass the cache if ``cached`` is false."""

    def drop(self, key: str) -> bool:
        """Remove a file from the cache; return whether it was cached."""

    def replace(self, key: str, data: bytes, *, lasting: bool = True) -> None:
        """Write a file atomically: concurrent readers see the old or the new content.

        With ``lasting=False``, for files that can be rebuilt, a power cut may lose it.
        """

    def create(self, key: str, data: bytes) -> bool:
        """Create a file unless it exists; of concurrent callers exactly one gets True."""

    def remove(self, *keys: str) -> None:
        """Remove files and blobs, in this order; missing and foreign ones are ignored."""

    def staging(self, folders: int) -> AbstractContextManager[list[Path]]:
        """Yield new private folders; those not adopted are removed at the end."""

    def write(self, path: Path, *parts: bytes | memoryview) -> None:
        """Write the concatenated parts to a new file in a staging folder."""

    def adopt(self, folders: Mapping[str, Path], there: Collection[str] = ()) -> None:
        """Move finished blobs to their keys; existing ones stay unchanged.

        Args:
            folders: The staging folder of each key.
            there: Keys at which a complete blob was found just before.
        """

    def lock(self, folder: str, holder: Holder) -> Lock:
        """Lock a folder for this process.

        Raises:
            Locked: Another process has locked it.
        """

    def sweep(self) -> None:
        """Remove writes that killed processes left unfinished more than a day ago, by `now`."""

    def touch(self, key: str) -> bool:
        """Set the time of an adopted folder to now; return False if it does not exist."""

    def now(self) -> float:
        """Return the current time of the store's clock, in seconds."""

    def modified(self, key: str) -> float | None:
        """Return when a file was written, in seconds; None if it does not exist."""

    def written(self, key: str) -> float | None:
        """Return when an adopted folder was written or touched; None if it does not exist."""

    def hide(self, key: str, before: float) -> bool:
        """Hide an adopted folder unless written or touched since; return whether it was hidden.

        It stays at `layout.hidden` until it is restored or discarded.
        """

    def bring_back(self, key: str) -> None:
        """Restore a hidden folder, unless another one exists at its key by now."""

    def discard(self, key: str, before: float) -> int:
        """Remove a hidden blob, except files written since; return the number of bytes removed."""
