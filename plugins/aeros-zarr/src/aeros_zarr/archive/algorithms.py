"""Algorithms in a store: wheels with signed statements, stored unchanged.

    algorithms/<name>/<version>.json  the statement, its signature, and the blob of the wheel
    blobs/<digest>/                   the wheel, as an array of bytes

A version exists once its manifest does, and is never changed. Signatures are not verified here:
the node that installs an algorithm verifies them, and need not trust the repository.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator

import numpy as np
from packaging.version import InvalidVersion, Version

from aeros_core.errors import RepositoryError
from aeros_core.records import Algorithm
from aeros_zarr.archive.records import Content
from aeros_zarr.blobs.blobs import Blobs
from aeros_zarr.format import manifest
from aeros_zarr.format.manifest import read
from aeros_zarr.format.record_schemas import AlgorithmRecord, from_record, to_record
from aeros_zarr.stores.errors import repository_errors
from aeros_zarr.stores.layout import named, stems
from aeros_zarr.stores.names import check, check_new, spelled
from aeros_zarr.stores.store import Store

__all__ = ["Algorithms"]

_log = logging.getLogger(__name__)


class Algorithms:
    """The algorithms of a repository; the methods are those of `repository.SupportsAlgorithms`.

    Args:
        store: The store that holds them.
        blobs: The blobs of that store.
    """

    def __init__(self, store: Store, blobs: Blobs) -> None:
        self._store = store
        self._blobs = blobs

    def store(self, algorithm: Algorithm, wheel: bytes) -> None:
        """Store a version; storing the same version again changes nothing."""
        label = f"{check('algorithm', algorithm.name)}:{check('version', algorithm.version)}"
        if hashlib.sha256(wheel).hexdigest() != algorithm.sha256 or len(wheel) != algorithm.size:
            raise RepositoryError(f"the wheel of {label} does not match its statement")
        with repository_errors(
            f"algorithm {label} could not be stored", self._store, needs=len(wheel)
        ):
            check_new("algorithm", algorithm.name, self._names())
            check_new("version", algorithm.version, self._versions(algorithm.name))
            array = np.frombuffer(wheel, np.uint8)
            [blob] = self._blobs.put("blobs", {"": (array, {})}).values()
            key = _key(algorithm.name, algorithm.version)
            content = to_record(AlgorithmRecord, algorithm, wheel=blob)
            data = manifest.dump("algorithm", content, key)
            if not self._store.create(key, data) and self._content(key) != manifest.load(
                "algorithm", data, key
            ):
                raise RepositoryError(
                    f"{label} is already stored with different content or signature",
                    exists=spelled("version", self._versions(algorithm.name)),
                    hint="publish the changed algorithm under a new version",
                )
            if not self._store.exists(f"blobs/{blob}/zarr.json"):
                self._blobs.put("blobs", {"": (array, {})})  # collected meanwhile

    def stored(self, name: str | None) -> list[Algorithm]:
        """Return versions sorted by name and version; damaged ones are logged and skipped."""
        with repository_errors("the algorithms could not be read", self._store):
            names = self._names() if name is None else [check("algorithm", name)]
            return [found for each in names for found in self._readable(each)]

    def get(self, name: str, version: str) -> tuple[Algorithm, bytes]:
        """Return a version and its wheel, verified against the blob's digest.

        Raises:
            RepositoryError: The algorithm or version does not exist, or a file is damaged.
        """
        key = _key(check("algorithm", name), check("version", version))
        with repository_errors(f"algorithm {name}:{version} could not be read", self._store):
            content = read(self._store, "algorithm", key)
            if content is None:
                versions = self._versions(name)
                known = [each for each in self._names() if self._versions(each)]
                raise RepositoryError(
                    f"algorithm {name}:{version} is not stored",
                    exists=spelled("version", versions) if versions else spelled("name", known),
                    hint="aeros algorithms list",
                )
            vector, _ = self._blobs.get("blobs", content["wheel"])
        return _algorithm(content), np.asarray(vector).tobytes()

    def audit(self) -> dict[str, str]:
        """Read and hash all files; return the defect of each, ``""`` if it is sound."""
        with repository_errors("the algorithms could not be read", self._store):
            found, contents = manifest.audit(self._store, "algorithm", self._keys())
            return found | self._blobs.audit("blobs", {c["wheel"] for c in contents.values()})

    def named(self) -> set[str]:
        """Return the blobs that versions name.

        Raises:
            RepositoryError: A record is damaged, so its blobs are unknown.
        """
        return {self._content(key)["wheel"] for key in self._keys()}

    def _names(self) -> list[str]:
        return named(self._store.folders("algorithms"))

    def _keys(self) -> list[str]:
        return [_key(name, version) for name in self._names() for version in self._versions(name)]

    def _versions(self, name: str) -> list[str]:
        return sorted(stems(self._store.files(f"algorithms/{name}")), key=_order)

    def _readable(self, name: str) -> Iterator[Algorithm]:
        for version in self._versions(name):
            try:
                yield _algorithm(self._content(_key(name, version)))
            except RepositoryError as error:
                _log.warning("algorithm %s:%s is left out: %s", name, version, error.asked)

    def _content(self, key: str) -> Content:
        content = read(self._store, "algorithm", key)
        if content is None:
            raise manifest.damaged(self._store.location(key), "it is missing")
        return content


def _key(name: str, version: str) -> str:
    return f"algorithms/{name}/{version}.json"


def _algorithm(content: Content) -> Algorithm:
    return from_record(Algorithm, AlgorithmRecord, content)


def _order(version: str) -> tuple[bool, Version | str]:
    try:
        return True, Version(version)
    except InvalidVersion:
        return False, version
