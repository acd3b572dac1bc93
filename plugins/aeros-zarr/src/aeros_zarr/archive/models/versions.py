"""Versions of models in a store: which there are, and what tags point to them."""

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
    """Tells which versions models have; `stored_models` says where they lie.

    Args:
        store: Where the models lie.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def names(self) -> list[str]:
        """Return the models that there are."""
        return named(self._store.folders("models"))

    def of(self, name: str) -> list[int]:
        """Return the versions of a model that are there, in order."""
        return numbers(self._store.files(f"models/{name}"))

    def meant(self, name: str, version: int | str) -> int:
        """Return the number that is meant by a number, ``latest`` or another tag.

        Raises:
            ConfigError: It cannot be a tag.
            RepositoryError: Nothing is tagged so. (A number need not be there.)
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
            wanted: The number that it has to be; None for any.

        Raises:
            RepositoryError: It is not the one that is wanted.
        """
        number = max(there, default=0) + 1
        if wanted is not None and 0 < wanted < number:
            raise self.taken(name, wanted)
        if wanted not in (None, number):
            raise RepositoryError(
                f"version {wanted} of model '{name}' cannot be stored: the next one is {number}",
                exists=self.spelled(name),
                hint=f"version {number}, or none for the next one, whatever it is",
            )
        return number

    def taken(self, name: str, version: int) -> RepositoryError:
        """Return the error of a number that somebody else's version has got."""
        return RepositoryError(
            f"version {version} of model '{name}' is there already, and a version never changes",
            exists=self.spelled(name),
            hint=f"version {max(self.of(name), default=0) + 1},"
            " or none for the next one, whatever it is",
        )

    def tags(self, name: str, versions: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """Return what points to which of the versions that there are; damaged tags are logged."""
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
            RepositoryError: A tag is damaged: nobody knows what it points to.
        """
        contents = [read(self._store, "tag", key) for key in self.tag_keys([name])]
        return {int(content["version"]) for content in contents if content}

    def tag_keys(self, names: Sequence[str]) -> list[str]:
        """Return the keys of the tags of models."""
        folders = [f"models/{name}/tags" for name in names]
        both = [(folder, tag) for folder in folders for tag in stems(self._store.files(folder))]
        return [f"{folder}/{tag}.json" for folder, tag in both]

    def readable(self, kind: str, key: str) -> Content | None:
        """Return a record; None if it is gone, or damaged, which is logged."""
        try:
            return read(self._store, kind, key)
        except RepositoryError as error:
            _log.warning("%s is left out: %s", key, error.asked)
            return None

    def unknown(self, what: str, name: str) -> RepositoryError:
        """Return the error of what a model has not, or of a model that there is not."""
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
