"""What runs, models and blobs ask of the place where they are kept: a disk or a bucket."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

from aeros_zarr.locks.owner import Holder

__all__ = ["Lock", "Readable", "Store"]


class Readable(AbstractContextManager["Readable"], Protocol):
    """A file that is read from its begin on."""

    def read(self, size: int = -1, /) -> bytes | None:
        """Return the next bytes, all of them by default."""

    def readinto(self, buffer: memoryview | bytearray, /) -> int | None:
        """Fill a buffer as far as there are bytes; return their number."""


class Lock(Protocol):
    """What a process holds that no other one has."""

    def check(self) -> None:
        """Make sure that this process still holds it.

        Raises:
            Lost: Another process has taken it over.
        """

    def release(self) -> None:
        """Let others have it."""


@runtime_checkable
class Store(Protocol):
    """Files and folders under keys with ``/``, each there as a whole or not at all.

    Every method lets OSError through; `aeros_zarr.stores.errors.repository_errors` words it.
    """

    @property
    def at_once(self) -> int:
        """How many files are best read at the same time."""

    @property
    def is_remote(self) -> bool:
        """Whether reading costs as much as writing, and others look after what is stored."""

    def location(self, key: str = "") -> str:
        """Return how a person finds what lies at ``key``: its path or its address."""

    def free(self) -> int | None:
        """Return how many bytes there is room for, if that is known."""

    def names(self, key: str) -> list[str]:
        """Return the names within a folder, sorted; none where there is no folder."""

    def files(self, key: str) -> list[str]:
        """Return the names of the files within a folder, sorted; none where there is no folder."""

    def folders(self, key: str) -> list[str]:
        """Return the names of the folders within a folder, sorted."""

    def exists(self, key: str) -> bool:
        """Tell whether a file, or a folder that was adopted, lies at ``key``."""

    def read(self, key: str) -> bytes:
        """Return a file."""

    def open(self, key: str, *, cached: bool = True) -> Readable:
        """Open a file for reading; not from a cache if ``cached`` is false."""

    def drop(self, key: str) -> bool:
        """Forget what a cache has of a file; tell whether that is worth another look."""

    def replace(self, key: str, data: bytes, *, lasting: bool = True) -> None:
        """Write a file; whoever reads it meanwhile sees the old one or the new one.

        One that need not last, as it can be made again, may be gone after a power cut.
        """

    def create(self, key: str, data: bytes) -> bool:
        """Write a file unless there is one: of many who try, one gets True."""

    def remove(self, *keys: str) -> None:
        """Remove files and blobs, in this order; what is gone already, or not ours, is no fault."""

    def staging(self, folders: int) -> AbstractContextManager[list[Path]]:
        """Yield new folders, seen by nobody; those not adopted are gone at the end."""

    def write(self, path: Path, *parts: bytes | memoryview) -> None:
        """Write the parts one behind the other to a new file in a staging folder."""

    def adopt(self, folders: Mapping[str, Path], there: Collection[str] = ()) -> None:
        """Make finished blobs appear at their keys; one that is there already stays the same.

        ``there`` are keys at which a whole one was found a moment ago.
        """

    def lock(self, folder: str, holder: Holder) -> Lock:
        """Lock a folder for this process.

        Raises:
            Locked: Another process has locked it.
        """

    def sweep(self) -> None:
        """Remove what killed processes of aeros left unfinished more than a day ago, by `now`."""

    def touch(self, key: str) -> bool:
        """Let an adopted folder count as written now; False if it is not there."""

    def now(self) -> float:
        """Return the time by the clock that `written` goes by, in seconds."""

    def modified(self, key: str) -> float | None:
        """Return when a file was written; None if it is not there."""

    def written(self, key: str) -> float | None:
        """Return when an adopted folder was written or touched; None if it is not there."""

    def hide(self, key: str, before: float) -> bool:
        """Move an adopted folder out of sight unless written or touched since; tell whether.

        It lies at `layout.hidden` until it is brought back or discarded.
        """

    def bring_back(self, key: str) -> None:
        """Let a hidden folder appear again, unless another one is there meanwhile."""

    def discard(self, key: str, before: float) -> int:
        """Remove a hidden blob, but not what was written since; return its bytes."""
