"""A bucket of any S3 endpoint with atomic writes: files and folders appear complete or not at all.

Objects are atomic by themselves. A folder exists once its ``zarr.json`` does, which is written
last and removed first. Exclusive creation needs a conditional write; some endpoints ignore the
condition, so each is probed once (`aeros_zarr.stores.s3.create_once` works without).
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from io import BufferedReader
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, NotSupportedError
from obstore.store import S3Store

from aeros_zarr.locks.owner import Holder
from aeros_zarr.stores.layout import HEAD, SCRATCH, hidden, is_blob, is_empty_scratch, of_blob
from aeros_zarr.stores.lease import Lease
from aeros_zarr.stores.s3 import create_once
from aeros_zarr.stores.s3.cache import Cache
from aeros_zarr.stores.s3.client import asked
from aeros_zarr.stores.s3.download import Download
from aeros_zarr.stores.s3.irregular_keys import ListedObjects
from aeros_zarr.stores.s3.listing import Objects
from aeros_zarr.stores.s3.retries import Retries
from aeros_zarr.stores.store import Lock

__all__ = ["Bucket"]

_ABANDONED = 24 * 3600.0
_AT_ONCE = 8
_WRITER = "aeros-writer"


class Bucket:
    """Files and folders in a bucket; a `aeros_zarr.stores.store.Store`.

    Args:
        s3: The bucket with its key prefix.
        place: Its address, for messages.
        retries: Number of times an interrupted response is requested again.
        cache: Cache for downloaded files of blobs; None for none.
        listed: Lists keys that the library rejects; None if such listing is not available.
    """

    at_once = _AT_ONCE
    is_remote = True

    def __init__(
        self, s3: S3Store, place: str, retries: int, cache: Cache | None = None,
        listed: ListedObjects | None = None,
    ) -> None:  # fmt: skip
        self._cache = cache
        self._again = Retries(retries)
        self._objects = Objects(s3, place, self._again, listed)
        self._s3 = s3
        self._place = place.rstrip("/")
        self._staged: dict[Path, Sequence[bytes | memoryview]] = {}

    def location(self, key: str = "") -> str:
        """Return the address of ``key``."""
        return f"{self._place}/{key}".rstrip("/")

    def free(self) -> None:
        """Return None: the free space of a bucket is unknown."""

    def names(self, key: str) -> list[str]:
        """Return the names within a folder, sorted; an empty list if it does not exist."""
        folders, files = self._objects.within(key)
        return sorted([*folders, *files])

    def files(self, key: str) -> list[str]:
        """Return the names of the files within a folder, sorted."""
        return sorted(self._objects.within(key)[1])

    def folders(self, key: str) -> list[str]:
        """Return the names of the folders within a folder, sorted."""
        return sorted(self._objects.within(key)[0])

    def exists(self, key: str) -> bool:
        """Return whether there is a file at ``key``."""
        return self._head(key) is not None

    def read(self, key: str) -> bytes:
        """Return the content of a file."""
        with asked(self._place):
            return self._again(lambda: obstore.get(self._s3, key).bytes().to_bytes())

    def open(self, key: str, *, cached: bool = True) -> io.RawIOBase | BufferedReader:
        """Download a file and return it opened; files of blobs pass through the cache."""
        cache, (folder, name) = self._cache if cached else None, key.split("/")[-2:]
        if cache and (file := cache.open(folder, name)):
            return file
        with asked(self._place):
            data = self._again(lambda: obstore.get(self._s3, key).bytes())
        if cache:
            cache.add(folder, name, memoryview(data))
        return Download(data)

    def drop(self, key: str) -> bool:
        """Remove a file of a blob from the cache; return whether it was cached."""
        return self._cache is not None and self._cache.drop(*key.split("/")[-2:])

    def replace(self, key: str, data: bytes | memoryview, *, lasting: bool = True) -> None:  # noqa: ARG002
        """Write a file atomically: concurrent readers see the old or the new content."""
        with asked(self._place):
            obstore.put(self._s3, key, data, use_multipart=False)

    def create(self, key: str, data: bytes) -> bool:
        """Create a file unless it exists; of concurrent callers exactly one gets True."""
        if not self.keeps_conditions:
            return create_once.create(self, key, data)
        return self._create(key, data)

    @cached_property
    def keeps_conditions(self) -> bool:
        """True if the endpoint honours ``If-None-Match: *`` for existing objects."""
        key = f"tmp/{SCRATCH}probe-{secrets.token_hex(8)}"
        put = partial(obstore.put, self._s3, key, b"", mode="create", use_multipart=False)
        try:
            with asked(self._place, (AlreadyExistsError, NotSupportedError)):
                for _ in range(2):
                    self._again(put)
        except (AlreadyExistsError, NotSupportedError) as error:
            return isinstance(error, AlreadyExistsError)
        finally:
            self.remove(key)
        return False

    def remove(self, *keys: str) -> None:
        """Remove files and blobs, in this order; missing ones are ignored.

        The ``zarr.json`` of a blob is removed first: without it the blob no longer exists.
        """
        for key in keys:
            if not is_blob(key):
                self._delete([key])
                continue
            inside = of_blob(key, self._objects.below(key))
            head = [path for path in inside if path == f"{key}/{HEAD}"]
            for paths in (head, [path for path in inside if path not in head]):
                self._delete(paths)

    @contextmanager
    def staging(self, folders: int) -> Iterator[list[Path]]:
        """Yield new folders in memory; those not adopted are dropped at the end."""
        stages = [Path(secrets.token_hex(8)) for _ in range(folders)]
        try:
            yield stages
        finally:
            for path in [path for path in self._staged if path.parent in stages]:
                del self._staged[path]

    def write(self, path: Path, *parts: bytes | memoryview) -> None:
        """Keep the parts of a new file in a staging folder until it is adopted."""
        self._staged[path] = parts

    def adopt(self, folders: Mapping[str, Path], there: Collection[str] = ()) -> None:
        """Upload finished blobs to their keys, ``zarr.json`` last.

        If another process uploads the same blob, it writes the same bytes: the key is their digest.
        """
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            files = {
                f"{key}/{path.name}": parts
                for key, folder in folders.items()
                for path, parts in self._staged.items()
                if path.parent == folder and key not in there
            }
            heads = {key: files.pop(key) for key in list(files) if key.endswith(f"/{HEAD}")}
            for group in (files, heads):
                list(pool.map(self._upload, group, group.values()))

    def lock(self, folder: str, holder: Holder) -> Lock:
        """Lock a folder by a lease, which a thread of this process renews.

        Raises:
            Locked: Another process holds the lock.
        """
        return Lease(self, f"{folder}/lock", holder)

    def sweep(self) -> None:
        """Remove what killed processes left under ``tmp/`` more than a day ago.

        Only empty objects with names used by aeros are removed.
        """
        below = self._objects.below("tmp")
        written = {k: at for k, (at, size) in below.items() if not size and is_empty_scratch(k)}
        before = self.now() - _ABANDONED if written else 0.0
        self._delete([key for key, at in written.items() if at < before])

    def touch(self, key: str) -> bool:
        """Set the time of a folder to now; return False if it does not exist."""
        try:
            self.replace(f"{key}/{HEAD}", self.read(f"{key}/{HEAD}"))
        except FileNotFoundError:
            return False
        return True

    def now(self) -> float:
        """Return the current time of the endpoint's clock, in seconds."""
        key = f"tmp/{SCRATCH}clock-{secrets.token_hex(8)}"
        self.replace(key, b"")
        head = self._head(key)
        self._delete([key])
        return head["last_modified"].timestamp() if head else 0.0

    def modified(self, key: str) -> float | None:
        """Return when a file was written; None if it does not exist."""
        head = self._head(key)
        return None if head is None else float(head["last_modified"].timestamp())

    def written(self, key: str) -> float | None:
        """Return when a folder, or an incomplete part of one, was written or touched."""
        below = self._objects.below(key)
        entries = {path: below[path] for path in of_blob(key, below)}
        head = entries.get(f"{key}/{HEAD}")
        times = [head[0]] if head else [written for written, _ in entries.values()]
        return max(times, default=None)

    def hide(self, key: str, before: float) -> bool:
        """Hide a folder by moving its ``zarr.json`` unless written since; return whether done."""
        if (self.written(key) or before) >= before:
            return False
        head, aside = f"{key}/{HEAD}", f"{hidden(key)}/{HEAD}"
        self.replace(aside, b"")
        with suppress(FileNotFoundError):
            self.replace(aside, self.read(head))
        self._delete([head])
        return True

    def bring_back(self, key: str) -> None:
        """Restore a hidden folder, if it was complete."""
        aside = f"{hidden(key)}/{HEAD}"
        with suppress(FileNotFoundError):
            if data := self.read(aside):
                self.replace(f"{key}/{HEAD}", data)
        self._delete([aside])

    def discard(self, key: str, before: float) -> int:
        """Remove a hidden folder, except files written since; return the bytes removed."""
        aside = self._objects.below(hidden(key))
        aside = {path: aside[path] for path in of_blob(hidden(key), aside)}
        if not aside:
            return 0
        below = self._objects.below(key)
        gone = {path: below[path][1] for path in of_blob(key, below) if below[path][0] < before}
        gone |= {path: n for path, (_, n) in aside.items()}
        self._delete([*gone])
        return sum(gone.values())

    def _create(self, key: str, data: bytes) -> bool:
        """Put an object on the condition that it does not exist.

        If a request succeeds but its response is lost, the repeated request is rejected; the
        attribute of the object then shows that this process wrote it.
        """
        me = secrets.token_hex(8)

        def put() -> bool:
            try:
                obstore.put(
                    self._s3, key, data, mode="create", attributes={_WRITER: me},
                    use_multipart=False,
                )  # fmt: skip
            except AlreadyExistsError:
                return bool(obstore.get(self._s3, key).attributes.get(_WRITER) == me)
            return True

        with asked(self._place, (NotSupportedError,)):
            return self._again(put)

    def _upload(self, key: str, parts: Sequence[bytes | memoryview]) -> None:
        whole = [part for part in parts if len(part)]
        self.replace(key, whole[0] if len(whole) == 1 else b"".join(whole))

    def _head(self, key: str) -> Any:
        try:
            with asked(self._place):
                return obstore.head(self._s3, key)
        except FileNotFoundError:
            return None

    def _delete(self, paths: list[str]) -> None:
        try:
            with asked(self._place):
                if paths:
                    obstore.delete(self._s3, paths)
        except FileNotFoundError:
            return
