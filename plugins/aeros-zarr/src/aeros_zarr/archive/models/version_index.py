"""List model versions from index files, each of which covers many versions.

    models/<name>/index/<n>.json      versions 256 n + 1 to 256 (n + 1), one row each

An index is derived from the manifests, which are authoritative. A version never changes, so a
row is valid as long as its version exists: the existing versions are always looked up, those
without a row are read from their manifests, and rows of removed versions are ignored. Reading
writes nothing: an index file that is missing, damaged, or lacks many rows is rewritten when the
next one is complete, and by ``gc`` and ``verify --heal``.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeAlias

from aeros_core.errors import RepositoryError
from aeros_core.records import ModelInfo
from aeros_zarr.archive.records import Content
from aeros_zarr.format import manifest
from aeros_zarr.format.record_schemas import IndexRow, names
from aeros_zarr.stores.layout import numbers
from aeros_zarr.stores.store import Store

__all__ = ["Listing"]

_log = logging.getLogger(__name__)

_EACH = 256
_MANY = 64

_Row: TypeAlias = list[Any]
_COLUMNS = names(IndexRow)[1:]
"""Fields of a row after the version number, named as in the record of a version."""


class Listing:
    """Listing of the versions of models.

    Args:
        store: The store that holds the models.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def infos(
        self, name: str, versions: Sequence[int], tags: Mapping[int, tuple[str, ...]]
    ) -> list[ModelInfo]:
        """Return these versions of a model, in this order; damaged ones are logged and skipped.

        Args:
            name: Name of the model.
            versions: Numbers of existing versions.
            tags: Tags of each version.
        """
        of_file: defaultdict[int, list[int]] = defaultdict(list)
        for version in versions:
            of_file[(version - 1) // _EACH].append(version)
        found: dict[int, ModelInfo] = {}
        for number, wanted in of_file.items():  # rows are freed per file: Python's GC costs most
            rows = self._rows(name, number, wanted)
            found |= {v: _info(name, v, rows[v], tags.get(v, ())) for v in wanted if v in rows}
        return [found[version] for version in versions if version in found]

    def extend(self, name: str, version: int) -> None:
        """Index the versions up to this one, if it is the last one of an index file."""
        if version % _EACH == 0:
            self.complete(name, self._there(name))

    def complete(self, name: str, versions: Sequence[int]) -> None:
        """Write index files that are missing or damaged although complete, or lack many rows."""
        for number in sorted({(version - 1) // _EACH for version in versions}):
            wanted = [v for v in versions if (v - 1) // _EACH == number]
            rows = self._indexed(name, number)
            missing = [version for version in wanted if version not in rows]
            full = number < max(versions, default=0) // _EACH
            if len(missing) >= (1 if full and not rows else _MANY):
                self._write(name, number, rows | self._read(name, missing))

    def audit(self, names: Sequence[str]) -> dict[str, str]:
        """Verify the index files of models; return the defect of each, ``""`` if it is sound."""
        folders = [f"models/{name}/index" for name in names]
        both = [(f, n) for f in folders for n in numbers(self._store.files(f))]
        keys = [f"{folder}/{number}.json" for folder, number in both]
        return manifest.audit(self._store, "index", keys)[0]

    def heal(self, key: str) -> str:
        """Rebuild a damaged index file; return the source of its rows."""
        _, name, _, file = key.split("/")
        number = int(file.removesuffix(".json"))
        wanted = [version for version in self._there(name) if (version - 1) // _EACH == number]
        self._write(name, number, self._read(name, wanted))
        return "the records of its versions"

    def _there(self, name: str) -> list[int]:
        return numbers(self._store.files(f"models/{name}"))

    def _rows(self, name: str, number: int, wanted: Sequence[int]) -> dict[int, _Row]:
        rows = self._indexed(name, number)
        missing = [version for version in wanted if version not in rows]
        return rows | self._read(name, missing) if missing else rows

    def _indexed(self, name: str, number: int) -> dict[int, _Row]:
        try:
            content = manifest.read(self._store, "index", _file(name, number))
        except RepositoryError:
            return {}
        return {row[0]: row for row in content["rows"]} if content else {}

    def _read(self, name: str, versions: Sequence[int]) -> dict[int, _Row]:
        if len(versions) < _MANY or not self._store.is_remote:
            contents = [self._content(name, version) for version in versions]
        else:
            with ThreadPoolExecutor(self._store.at_once) as readers:
                contents = list(readers.map(lambda v: self._content(name, v), versions))
        both = zip(versions, contents, strict=True)
        return {v: [v, *(c[name] for name in _COLUMNS)] for v, c in both if c}

    def _content(self, name: str, version: int) -> Content | None:
        key = f"models/{name}/{version}.json"
        try:
            return manifest.read(self._store, "model", key)
        except RepositoryError as error:
            _log.warning("%s is left out: %s", key, error.asked)
            return None

    def _write(self, name: str, number: int, rows: Mapping[int, _Row]) -> None:
        key = _file(name, number)
        content = {"rows": [rows[version] for version in sorted(rows)]}
        with suppress(OSError):  # a read-only store works without an index
            self._store.replace(key, manifest.dump("index", content, key), lasting=False)


def _file(name: str, number: int) -> str:
    return f"models/{name}/index/{number}.json"


def _info(name: str, version: int, row: _Row, tags: tuple[str, ...]) -> ModelInfo:
    _, *columns, parents = row
    listed: _Row = [name, version, *columns, tags, tuple(parents)]
    return ModelInfo(*listed)
