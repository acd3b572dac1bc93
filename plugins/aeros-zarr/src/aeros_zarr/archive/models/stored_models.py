"""Models in a store: immutable versions of a name, and tags that point to them.

    models/<name>/<version>.json      one version: its description, the blobs of its arrays
    models/<name>/tags/<tag>.json     the version that a tag points to
    models/<name>/index/<n>.json      index of many versions (`version_index`)
    blobs/<digest>/                   arrays, shared by all versions that name them

A version exists once its manifest does. Of two concurrent writers only one can create it; the
other takes the next number, or fails if it has requested this one. ``latest`` is not a file: it
is always the highest version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.parameters import Parameters
from aeros_core.records import Model, ModelInfo
from aeros_zarr.archive.models.version_index import Listing
from aeros_zarr.archive.models.versions import Versions, record_key
from aeros_zarr.archive.records import (
    Content,
    content_of_model,
    digests,
    info_of,
    model_of,
    part_of,
)
from aeros_zarr.blobs.blobs import Blobs
from aeros_zarr.format import manifest
from aeros_zarr.format.arrays import host
from aeros_zarr.format.manifest import read
from aeros_zarr.stores.errors import repository_errors
from aeros_zarr.stores.layout import stems
from aeros_zarr.stores.names import check, check_new
from aeros_zarr.stores.store import Store

__all__ = ["Models"]

T = TypeVar("T")


class Models:
    """The models of a repository; the methods are those of `repository.Repository`.

    Args:
        store: The store that holds them.
        blobs: The blobs of that store.

    Attributes:
        listing: Index of the versions.
    """

    def __init__(self, store: Store, blobs: Blobs) -> None:
        self._store = store
        self._blobs = blobs
        self._versions = Versions(store)
        self.listing = Listing(store)

    def publish(self, model: Model, version: int | None) -> ModelInfo:
        """Store a model as the next version of its name; a given number must be the next one."""
        name = check("model", model.name)
        vectors = {dtype: host(vector) for dtype, vector in model.parameters.vectors.items()}
        parameters = Parameters(model.parameters.layout, vectors)
        with repository_errors(
            f"model '{name}' could not be stored",
            self._store,
            needs=parameters.nbytes,
            kept=lambda: self._versions.spelled(name),
        ):
            there = self._versions.of(name)
            if self._versions.following(name, there, version) == 1:
                check_new("model", name, self._versions.names())
            model = replace(model, parameters=parameters)
            content, number = self._publish(model, version, self._newest(name, there))
            while self._blobs.lacks("blobs", digests(content)):  # collected meanwhile
                again = content_of_model(model, self._blobs, "blobs", {})
                if digests(again) != digests(content):
                    self._store.remove(record_key(name, number))
                    content, number = self._publish(model, version, {})
            self.listing.extend(name, number)
            tags = self._versions.tags(name, [number])
            return info_of(name, number, content, tags.get(number, ()))

    def models(self, name: str | None) -> list[ModelInfo]:
        """Return versions sorted by name and number; damaged ones are logged and skipped."""
        with repository_errors("the models could not be read", self._store):
            names = self._versions.names() if name is None else [check("model", name)]
            known = {each: self._versions.of(each) for each in names}
            return [info for each in names for info in self._infos(each, known[each], known[each])]

    def page(
        self, name: str | None, offset: int, limit: int, *, newest: bool
    ) -> tuple[list[ModelInfo], int]:
        """Return a page of versions sorted by name and number, and their total number."""
        with repository_errors("the models could not be read", self._store):
            names = self._versions.names() if name is None else [check("model", name)]
            found: list[ModelInfo] = []
            total = 0
            for each in names:
                versions = self._versions.of(each)
                first = max(0, offset - total)
                ordered = versions[::-1] if newest else versions
                some = ordered[first : first + max(0, limit - len(found))]
                found += self._infos(each, some, versions) if some else []
                total += len(versions)
            return found, total

    def model(self, name: str, version: int | str) -> Model:
        """Return a version by number or tag, verified.

        Raises:
            RepositoryError: The model, version or tag does not exist, or a file is damaged.
        """
        return self._read(name, version, partial(model_of, name))

    def part(self, name: str, version: int | str, tensors: Sequence[str]) -> Parameters:
        """Return the tensors of a version that match these patterns, verified.

        Raises:
            ConfigError: A pattern matches no tensor.
            RepositoryError: The model, version or tag does not exist, or a file is damaged.
        """
        layout, part = self._read(name, version, partial(part_of, tensors))
        for pattern in tensors:
            if not layout.matching([pattern]):
                raise ConfigError(
                    f"no tensor of model '{name}' is called {pattern}",
                    exists=", ".join(spec.name for spec in layout.tensors) or "none at all",
                    hint="a name, or a pattern with * and ?",
                )
        return part

    def _read(
        self, name: str, version: int | str, delivered: Callable[[Content, Blobs, str], T]
    ) -> T:
        check("model", name)
        with repository_errors(f"model '{name}' could not be read", self._store):
            number = self._versions.meant(name, version)
            content = read(self._store, "model", record_key(name, number))
            if content is None:
                raise self._versions.unknown(f"version {number}", name)
            try:
                with manifest.reading(self._store.location(record_key(name, number))):
                    return delivered(content, self._blobs, "blobs")
            except RepositoryError as error:
                raise RepositoryError(
                    f"version {number} of model '{name}' cannot be read: {error.asked}",
                    exists=self._versions.spelled(name),
                    hint=error.hint,
                ) from error

    def tag(self, name: str, tag: str, version: int | str) -> None:
        """Set or move a tag to a version of a model.

        Raises:
            RepositoryError: The model, version or tag does not exist, or the new tag is
                ``latest`` or a number.
        """
        check("model", name)
        check_new("tag", tag, stems(self._store.files(f"models/{name}/tags")))
        if tag.lower() == "latest" or tag.isdecimal():
            raise RepositoryError(
                f"'{tag}' cannot be given as a tag",
                exists="latest is always the highest version, a number always a version",
                hint="for instance production",
            )
        with repository_errors(f"tag '{tag}' of model '{name}' could not be stored", self._store):
            number = self._versions.meant(name, version)
            if number not in self._versions.of(name):
                raise self._versions.unknown(f"version {number}", name)
            key = f"models/{name}/tags/{tag}.json"
            self._store.replace(key, manifest.dump("tag", {"version": number}, key))

    def remove(self, name: str, versions: Sequence[int]) -> list[int]:
        """Remove versions, except the newest and tagged ones; return those removed.

        Raises:
            RepositoryError: A tag is damaged, so its version is unknown.
        """
        check("model", name)
        gone: list[int] = []
        with repository_errors(f"versions of model '{name}' could not be removed", self._store):
            there = self._versions.of(name)
            for version in [v for v in there[:-1] if v in versions]:
                if version in self._versions.tagged(name):
                    continue
                try:
                    data = self._store.read(record_key(name, version))
                except FileNotFoundError:
                    continue  # another process has removed it
                self._store.remove(record_key(name, version))
                if version in self._versions.tagged(name):  # meanwhile
                    self._store.create(record_key(name, version), data)
                else:
                    gone.append(version)
        return gone

    def audit(self, name: str | None, version: int | str | None) -> dict[str, str]:
        """Read and hash models and their blobs; return the defect of each file, ``""`` if sound.

        Raises:
            RepositoryError: The model, version or tag does not exist.
        """
        what = "the models" if name is None else f"model '{name}'"
        with repository_errors(f"{what} could not be read", self._store):
            names = self._versions.names() if name is None else [check("model", name)]
            tags = self._versions.tag_keys([each for each in names if self._versions.of(each)])
            if name is not None and version is not None:
                number = self._versions.meant(name, version)
                keys, tags = [record_key(name, number)], []
            else:
                keys = [record_key(each, n) for each in names for n in self._versions.of(each)]
            if name is not None and not any(map(self._store.exists, keys)):
                raise self._versions.unknown(
                    "a version" if version is None else f"version {version}", name
                )
            found, contents = manifest.audit(self._store, "model", keys)
            found |= manifest.audit(self._store, "tag", tags)[0]
            found |= self.listing.audit(names) if version is None else {}
            blobs = {digest for content in contents.values() for digest in digests(content)}
            return found | self._blobs.audit("blobs", blobs)

    def index(self) -> None:
        """Write index files that are missing or damaged."""
        for name in self._versions.names():
            self.listing.complete(name, self._versions.of(name))

    def named(self) -> set[str]:
        """Return the blobs that versions name.

        Raises:
            RepositoryError: The record of a version is damaged, so its blobs are unknown.
        """
        keys = [record_key(n, v) for n in self._versions.names() for v in self._versions.of(n)]
        contents = [read(self._store, "model", key) for key in keys]
        return {digest for content in contents if content for digest in digests(content)}

    def _publish(
        self, model: Model, version: int | None, bases: dict[str, str]
    ) -> tuple[Content, int]:
        content = content_of_model(model, self._blobs, "blobs", bases)
        content["created"] = datetime.now(UTC).isoformat(timespec="seconds")
        return content, self._create(model.name, content, version)

    def _newest(self, name: str, versions: Sequence[int]) -> dict[str, str]:
        """Return the blobs of the vectors of the newest readable version, by dtype."""
        for version in reversed(versions):
            content = self._versions.readable("model", record_key(name, version))
            if content is not None:
                return dict(content["parameters"])
        return {}

    def _create(self, name: str, content: Content, wanted: int | None) -> int:
        # During the upload, other processes may have published or removed versions.
        number = self._versions.following(name, self._versions.of(name), wanted)
        while not self._store.create(
            record_key(name, number), manifest.dump("model", content, record_key(name, number))
        ):
            if wanted is not None:
                raise self._versions.taken(name, wanted)
            number += 1
        return number

    def _infos(self, name: str, wanted: Sequence[int], there: Sequence[int]) -> list[ModelInfo]:
        tags = self._versions.tags(name, there) if there else {}
        return self.listing.infos(name, wanted, tags)
