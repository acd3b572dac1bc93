"""Find the versions and tags of models in a store."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from aeros_core.errors import RepositoryError
from aeros_zarr.archive.records import Content
from aeros_zarr.format.manifest import read
from aeros_zarr.stores.layout import named, numbers, stems
from aeros_zarr.stores.names import check, spelled
from aeros_zarr.stores.store import Store

__all__ = ["Versions", "record_key"]

_DIGITS = 18

_log = logging.getLogger(__name__)


class Versions:
    """The versions and tags of models; `stored_models` describes their keys.

    Args:
        store: The store that holds the models.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def names(self) -> list[str]:
        """Return the names of all models."""
        return named(self._store.folders("models"))

    def of(self, name: str) -> list[int]:
        """Return the existing versions of a model, in order."""
        return numbers(self._store.files(f"models/{name}"))

    def meant(self, name: str, version: int | str) -> int:
        """Resolve a number, ``latest`` or another tag to a version number.

        Raises:
            ConfigError: The tag is invalid.
            RepositoryError: The tag does not exist. (A number is not checked for existence.)
        """
        if isinstance(version, int):
            return version
        if version.isdecimal():
            if len(version) > _DIGITS:
                raise self.unknown(f"version {version[:_DIGITS]}…", name)
            return int(version)
        if version == "latest":
            versions = self.of(name)
            if not versions:
                raise self.unknown("a version", name)
            return versions[-1]
        content = read(self._store, "tag", f"models/{name}/tags/{check('tag', version)}.json")
        if content is None:
            raise self.unknown(f"tag '{version}'", name)
        return int(content["version"])

    def following(self, name: str, there: Sequence[int], wanted: int | None) -> int:
        """Return the number of the next version of a model.

        Args:
            name: Name of the model.
            there: Its versions, in order.
            wanted: The required number; None for any.

        Raises:
            RepositoryError: The next number is not the required one.
        """
        number = max(there, default=0) + 1
        if wanted is not None and 0 < wanted < number:
            raise self.taken(name, wanted)
        if wanted not in (None, number):
            raise RepositoryError(
                f"version {wanted} of model '{name}' cannot be stored: the next one is {number}",
                exists=self.spelled(name),
                hint=f"version {number}, or no version for the next one",
            )
        return number

    def taken(self, name: str, version: int) -> RepositoryError:
        """Return the error of a version number that is already in use."""
        return RepositoryError(
            f"version {version} of model '{name}' is there already, and a version never changes",
            exists=self.spelled(name),
            hint=f"version {max(self.of(name), default=0) + 1}, or no version for the next one",
        )

    def tags(self, name: str, versions: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """Return the tags of each version; damaged tags are logged and skipped."""
        tags: dict[int, tuple[str, ...]] = dict.fromkeys(versions[-1:], ("latest",))
        for key in self.tag_keys([name]):
            content = self.readable("tag", key)
            if content is not None:
                version = content["version"]
                tag = key.rpartition("/")[2].removesuffix(".json")
                tags[version] = (*tags.get(version, ()), tag)
        return tags

    def tagged(self, name: str) -> set[int]:
        """Return the versions that tags other than ``latest`` point to.

        Raises:
            RepositoryError: A tag is damaged, so its version is unknown.
        """
        contents = [read(self._store, "tag", key) for key in self.tag_keys([name])]
        return {int(content["version"]) for content in contents if content}

    def tag_keys(self, names: Sequence[str]) -> list[str]:
        """Return the keys of all tags of these models."""
        folders = [f"models/{name}/tags" for name in names]
        both = [(folder, tag) for folder in folders for tag in stems(self._store.files(folder))]
        return [f"{folder}/{tag}.json" for folder, tag in both]

    def readable(self, kind: str, key: str) -> Content | None:
        """Return a record; None if it is missing, or damaged, which is logged."""
        try:
            return read(self._store, kind, key)
        except RepositoryError as error:
            _log.warning("%s is left out: %s", key, error.asked)
            return None

    def unknown(self, what: str, name: str) -> RepositoryError:
        """Return the error of a missing version, tag or model."""
        if self.of(name):
            return RepositoryError(
                f"{what} of model '{name}' does not exist", exists=self.spelled(name)
            )
        names = [each for each in self.names() if self.of(each)]
        return RepositoryError(
            f"model '{name}' does not exist",
            exists=spelled("model", names),
            hint="" if names else "aeros run trains one",
        )

    def spelled(self, name: str) -> str:
        """Return the versions and tags of a model for a message."""
        versions = self.of(name)
        if not versions:
            return f"no version of '{name}'"
        tags = sorted(tag for tags in self.tags(name, versions).values() for tag in tags)
        return f"{spelled('version', versions)}; {spelled('tag', tags)}"


def record_key(name: str, version: int) -> str:
    """Return the key of the record of a version."""
    return f"models/{name}/{version}.json"
