"""Models in a store: immutable versions of a name, and tags that point to them.

    models/<name>/<version>.json      one version: what it is, the blobs of its arrays
    models/<name>/tags/<tag>.json     the version that a tag points to
    models/<name>/index/<n>.json      what is listed of many versions (`aeros_zarr.listing`)
    blobs/<digest>/                   arrays, shared by whatever versions name them

A version exists once its manifest does, which of two writers only one can create; the
other takes the next number. ``latest`` is no file: it is the highest version.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from aeros_core.errors import RepositoryError
from aeros_core.parameters import Parameters
from aeros_core.records import Model, ModelInfo
from aeros_zarr import manifest
from aeros_zarr.arrays import host
from aeros_zarr.blobs import Blobs
from aeros_zarr.faults import explained
from aeros_zarr.keys import numbers
from aeros_zarr.listing import Listing
from aeros_zarr.manifest import read
from aeros_zarr.names import check, spelled
from aeros_zarr.records import Content, content_of_model, digests, info_of, model_of
from aeros_zarr.store import Store

__all__ = ["Models"]

_DIGITS = 18

_log = logging.getLogger(__name__)


class Models:
    """The models of a repository; the methods are those of `roles.Repository`.

    Args:
        store: Where they lie.
        blobs: Stores and reads arrays.

    Attributes:
        listing: What is indexed of them.
    """

    def __init__(self, store: Store, blobs: Blobs) -> None:
        self._store = store
        self._blobs = blobs
        self.listing = Listing(store)

    def publish(self, model: Model) -> ModelInfo:
        """Store a model as the next version of its name."""
        name = check("model", model.name)
        vectors = {dtype: host(vector) for dtype, vector in model.parameters.vectors.items()}
        parameters = Parameters(model.parameters.layout, vectors)
        with explained(
            f"model '{name}' could not be stored",
            self._store,
            needs=parameters.nbytes,
            kept=lambda: self._versions_text(name),
        ):
            model = replace(model, parameters=parameters)
            content, version = self._publish(model, self._newest(name))
            while self._blobs.lacks("blobs", digests(content)):  # collected meanwhile
                again = content_of_model(model, self._blobs, "blobs", {})
                if digests(again) != digests(content):
                    lost = version
                    content, version = self._publish(model, {})
                    self._store.remove(_version(name, lost))
            versions = self._versions(name)
            self.listing.extend(name, version, versions)
            return info_of(name, version, content, self._tags(name, versions).get(version, ()))

    def models(self, name: str | None) -> list[ModelInfo]:
        """Return versions by name and number; a damaged one is logged and left out."""
        with explained("the models could not be read", self._store):
            names = self._store.names("models") if name is None else [check("model", name)]
            known = {each: self._versions(each) for each in names}
            return [info for each in names for info in self._infos(each, known[each], known[each])]

    def page(
        self, name: str | None, offset: int, limit: int, *, newest: bool
    ) -> tuple[list[ModelInfo], int]:
        """Return some versions by name and number, and how many there are."""
        with explained("the models could not be read", self._store):
            names = self._store.names("models") if name is None else [check("model", name)]
            found: list[ModelInfo] = []
            total = 0
            for each in names:
                versions = self._versions(each)
                first = max(0, offset - total)
                ordered = versions[::-1] if newest else versions
                some = ordered[first : first + max(0, limit - len(found))]
                found += self._infos(each, some, versions) if some else []
                total += len(versions)
            return found, total

    def model(self, name: str, version: int | str) -> Model:
        """Return a version by number or tag, every byte verified.

        Raises:
            RepositoryError: There is no such model, version or tag, or a file is damaged.
        """
        check("model", name)
        with explained(f"model '{name}' could not be read", self._store):
            number = self._number(name, version)
            content = read(self._store, "model", _version(name, number))
            if content is None:
                raise self._unknown(f"version {number}", name)
            try:
                with manifest.makes_sense(self._store.place(_version(name, number))):
                    return model_of(name, content, self._blobs, "blobs")
            except RepositoryError as error:
                raise RepositoryError(
                    f"version {number} of model '{name}' cannot be read: {error.asked}",
                    exists=self._versions_text(name),
                    hint=error.hint,
                ) from error

    def tag(self, name: str, tag: str, version: int | str) -> None:
        """Let a tag point to a version of a model, whatever it pointed to before.

        Raises:
            RepositoryError: There is no such model, version or tag, or the tag is
                ``latest`` or a number.
        """
        check("model", name)
        if check("tag", tag) == "latest" or tag.isdecimal():
            raise RepositoryError(
                f"'{tag}' cannot be given as a tag",
                exists="latest is always the highest version, a number always a version",
                hint="for instance production",
            )
        with explained(f"tag '{tag}' of model '{name}' could not be stored", self._store):
            number = self._number(name, version)
            if number not in self._versions(name):
                raise self._unknown(f"version {number}", name)
            key = f"models/{name}/tags/{tag}.json"
            self._store.replace(key, manifest.dump("tag", {"version": number}, key))

    def remove(self, name: str, versions: Sequence[int]) -> list[int]:
        """Take versions away, but not the newest and none that a tag points to.

        Raises:
            RepositoryError: A tag is damaged: nobody knows what it points to.
        """
        check("model", name)
        gone: list[int] = []
        with explained(f"versions of model '{name}' could not be removed", self._store):
            there = self._versions(name)
            for version in [v for v in there[:-1] if v in versions]:
                if version in self._tagged(name):
                    continue
                data = self._store.read(_version(name, version))
                self._store.remove(_version(name, version))
                if version in self._tagged(name):  # meanwhile
                    self._store.create(_version(name, version), data)
                else:
                    gone.append(version)
        return gone

    def audit(self, name: str | None, version: int | str | None) -> dict[str, str]:
        """Read and hash models with all they name; return every file and what is wrong with it.

        Raises:
            RepositoryError: There is no such model, version or tag.
        """
        what = "the models" if name is None else f"model '{name}'"
        with explained(f"{what} could not be read", self._store):
            names = self._store.names("models") if name is None else [check("model", name)]
            tags = self._tag_keys(names)
            if name is not None and version is not None:
                number = self._number(name, version)
                keys, tags = [_version(name, number)], []
            else:
                keys = [_version(each, n) for each in names for n in self._versions(each)]
            if name is not None and not any(map(self._store.exists, keys)):
                raise self._unknown("a version" if version is None else f"version {version}", name)
            found, contents = manifest.audit(self._store, "model", keys)
            found |= manifest.audit(self._store, "tag", tags)[0]
            found |= self.listing.audit(names) if version is None else {}
            blobs = {digest for content in contents.values() for digest in digests(content)}
            return found | self._blobs.audit("blobs", blobs)

    def named(self) -> set[str]:
        """Return the blobs that versions name.

        Raises:
            RepositoryError: The record of a version is damaged: nobody knows what it names.
        """
        keys = [_version(n, v) for n in self._store.names("models") for v in self._versions(n)]
        contents = [read(self._store, "model", key) for key in keys]
        return {digest for content in contents if content for digest in digests(content)}

    def _tagged(self, name: str) -> set[int]:
        contents = [read(self._store, "tag", key) for key in self._tag_keys([name])]
        return {int(content["version"]) for content in contents if content}

    def _tag_keys(self, names: list[str]) -> list[str]:
        folders = [f"models/{name}/tags" for name in names]
        return [f"{folder}/{file}" for folder in folders for file in self._store.names(folder)]

    def _publish(self, model: Model, bases: dict[str, str]) -> tuple[Content, int]:
        content = content_of_model(model, self._blobs, "blobs", bases)
        content["created"] = datetime.now(UTC).isoformat(timespec="seconds")
        return content, self._create(model.name, content)

    def _newest(self, name: str) -> dict[str, str]:
        """Return the vectors of the newest version that can be read, by dtype."""
        for version in reversed(self._versions(name)):
            content = self._readable("model", _version(name, version))
            if content is not None:
                return dict(content["parameters"])
        return {}

    def _create(self, name: str, content: Content) -> int:
        version = max(self._versions(name), default=0)
        made = False
        while not made:
            version += 1
            key = _version(name, version)
            made = self._store.create(key, manifest.dump("model", content, key))
        return version

    def _number(self, name: str, version: int | str) -> int:
        if isinstance(version, int):
            return version
        if version.isdecimal():
            if len(version) > _DIGITS:
                raise self._unknown(f"version {version[:_DIGITS]}…", name)
            return int(version)
        if version == "latest":
            versions = self._versions(name)
            if not versions:
                raise self._unknown("a version", name)
            return versions[-1]
        content = read(self._store, "tag", f"models/{name}/tags/{check('tag', version)}.json")
        if content is None:
            raise self._unknown(f"tag '{version}'", name)
        return int(content["version"])

    def _versions(self, name: str) -> list[int]:
        return numbers(self._store.names(f"models/{name}"))

    def _tags(self, name: str, versions: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """Return what points to which of the versions that there are."""
        tags: dict[int, tuple[str, ...]] = dict.fromkeys(versions[-1:], ("latest",))
        for file in self._store.names(f"models/{name}/tags"):
            content = self._readable("tag", f"models/{name}/tags/{file}")
            if content is not None:
                version = content["version"]
                tags[version] = (*tags.get(version, ()), file.removesuffix(".json"))
        return tags

    def _infos(self, name: str, wanted: Sequence[int], there: Sequence[int]) -> list[ModelInfo]:
        return self.listing.infos(name, wanted, self._tags(name, there))

    def _readable(self, kind: str, key: str) -> Content | None:
        try:
            return read(self._store, kind, key)
        except RepositoryError as error:
            _log.warning("%s is left out: %s", key, error.asked)
            return None

    def _unknown(self, what: str, name: str) -> RepositoryError:
        if self._versions(name):
            return RepositoryError(
                f"{what} of model '{name}' does not exist", exists=self._versions_text(name)
            )
        names = self._store.names("models")
        return RepositoryError(
            f"model '{name}' does not exist",
            exists=spelled("model", names),
            hint="" if names else "aeros run trains one",
        )

    def _versions_text(self, name: str) -> str:
        versions = self._versions(name)
        if not versions:
            return f"no version of '{name}'"
        tags = sorted(tag for tags in self._tags(name, versions).values() for tag in tags)
        return f"{spelled('version', versions)}; {spelled('tag', tags)}"


def _version(name: str, version: int) -> str:
    return f"models/{name}/{version}.json"
