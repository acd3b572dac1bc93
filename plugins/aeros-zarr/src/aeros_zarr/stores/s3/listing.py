"""List the objects of a bucket below a key; keys that are not paths are skipped."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator

import obstore
from obstore.exceptions import InvalidPathError
from obstore.store import S3Store

from aeros_zarr.stores.errors import Refused
from aeros_zarr.stores.s3.client import asked
from aeros_zarr.stores.s3.irregular_keys import Listed, ListedObjects, is_path
from aeros_zarr.stores.s3.retries import Retries

__all__ = ["Objects"]

_log = logging.getLogger(__name__)


class Objects:
    """Listing of the objects of a bucket.

    Args:
        s3: The bucket with its key prefix.
        place: Its address, for messages.
        again: Repeats a request whose response was interrupted.
        listed: Lists keys that the library rejects; None if such listing is not available.
    """

    def __init__(
        self, s3: S3Store, place: str, again: Retries, listed: ListedObjects | None
    ) -> None:
        self._s3 = s3
        self._place = place.rstrip("/")
        self._again = again
        self._listed = listed
        self._warned: set[str] = set()

    def within(self, key: str) -> tuple[list[str], list[str]]:
        """Return the names of the folders and of the files within a folder."""
        try:
            with asked(self._place, (InvalidPathError,)):
                found = self._again(lambda: obstore.list_with_delimiter(self._s3, key))
        except InvalidPathError as error:
            some = list(self._paths(key, error, deep=False))
            folders = [each.key.rstrip("/") for each in some if each.is_folder]
            files = [each.key for each in some if not each.is_folder]
        else:
            folders = [*found["common_prefixes"]]
            files = [each["path"] for each in found["objects"]]
        return _names(key, folders), _names(key, files)

    def below(self, key: str) -> dict[str, tuple[float, int]]:
        """Return ``{key: (time of last write in seconds, bytes)}`` of the objects below a key."""
        try:
            with asked(self._place, (InvalidPathError,)):
                found = self._again(lambda: obstore.list(self._s3, key).collect())
        except InvalidPathError as error:
            return {o.key: (o.written, o.nbytes) for o in self._paths(key, error, deep=True)}
        return {o["path"]: (o["last_modified"].timestamp(), int(o["size"])) for o in found}

    def _paths(self, key: str, error: InvalidPathError, *, deep: bool) -> Iterator[Listed]:
        """Yield the keys below a key that are paths; warn of the others."""
        if self._listed is None or not self._listed.can_sign():
            raise Refused(
                errno.EINVAL, f"a key of the bucket is not a path: {str(error).splitlines()[0]}",
                hint="remove that object, or repository.prefix=<another prefix>",
            ) from error  # fmt: skip
        with asked(self._place):
            found = list(self._listed.below(key, deep=deep))
        for each in found:
            if is_path(each.key):
                if not each.key.endswith("/") or each.is_folder:
                    yield each
            elif each.key not in self._warned:
                self._warned.add(each.key)
                _log.warning("%r is skipped: aeros writes no such key", f"{self._place}/{each.key}")


def _names(key: str, paths: list[str]) -> list[str]:
    """Return the names within a folder, without the folder itself."""
    start = f"{key}/" if key else ""
    return [path.removeprefix(start) for path in paths if path.startswith(start)]
