"""Keys of records, the fields that repeat them, and the names that aeros gives to files.

    format.json                       the marker of a repository (`aeros_zarr.format.marker`)
    models/<name>/<version>.json      name, version
    models/<name>/tags/<tag>.json     name, tag
    models/<name>/index/<n>.json      name
    algorithms/<name>/<version>.json  name, version
    runs/<id>/run.json                id
    runs/<id>/rounds/<n>.json         run, number
    runs/<id>/result.json             run
    runs/<id>/lock.json               the process that holds it (`aeros_zarr.locks.file_lock`)
    runs/<id>/lock/<n>.json           the same in a bucket (`aeros_zarr.stores.lease`)
    blobs/<digest>/                   ``zarr.json`` and chunks ``c.<n>``; also below a run
    tmp/                              unfinished writes, and blobs that are being removed

The fields detect a record that was moved to the key of another. Files with any other name belong
to other programs: they are never read, moved or removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = [
    "HEAD",
    "HIDDEN",
    "ROOTS",
    "SCRATCH",
    "belonging",
    "digests",
    "hidden",
    "is_blob",
    "is_blob_file",
    "is_empty_scratch",
    "is_hidden",
    "is_old_scratch",
    "is_scratch",
    "named",
    "numbers",
    "of_blob",
    "shown",
    "stems",
]

ROOTS = frozenset({"algorithms", "blobs", "models", "runs", "tmp"})
"""Folders of a repository."""

HEAD = "zarr.json"
"""The file of a blob that is written last: a blob exists once it does."""

HIDDEN = "hidden-"
"""Prefix of folders under ``tmp/`` that hold blobs to be removed, unless a record names them."""

SCRATCH = "aeros-"
"""Prefix of unfinished files and folders under ``tmp/``."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_DIGEST = r"[0-9a-f]{64}"
_NAMED = re.compile(_NAME)
_DIGESTS = re.compile(_DIGEST)
_BLOB = re.compile(rf"(runs/{_NAME}/)?blobs/{_DIGEST}")
_FILE = re.compile(r"zarr\.json|c\.(0|[1-9][0-9]*)")
_ASIDE = re.compile(rf"hidden-(runs:{_NAME}:)?blobs:{_DIGEST}")
_STAGED = re.compile(r"(tmp/|\.)aeros-[0-9]{1,10}-[0-9a-f]{16}")
_STAGED_BEFORE = re.compile(r"tmp/[0-9]{1,10}-[0-9a-f]{12}")
_EMPTY = re.compile(
    r"tmp/(aeros-)?(probe|clock)-[0-9a-f]{16}"
    r"|tmp/claims/(models|algorithms|runs):[A-Za-z0-9._:-]+\.json/[0-9a-f]{16}\.json"
)


def belonging(key: str) -> dict[str, str | int]:
    """Return the fields by which the record at a key repeats its place."""
    match key.removesuffix(".json").split("/"):
        case ["models", name, "tags", tag]:
            return {"name": name, "tag": tag}
        case ["models", name, "index", _]:
            return {"name": name}
        case ["models", name, version]:
            return {"name": name, "version": int(version)}
        case ["algorithms", name, version]:
            return {"name": name, "version": version}
        case ["runs", run, "rounds", number]:
            return {"run": run, "number": int(number)}
        case ["runs", run, "run"]:
            return {"id": run}
        case ["runs", run, "result"]:
            return {"run": run}
    return {}


def numbers(names: list[str]) -> list[int]:
    """Return the numbers of the files ``<number>.json`` among these names, in order."""
    found = (name.removesuffix(".json") for name in names if name.endswith(".json"))
    return sorted(int(n) for n in found if n.isascii() and n.isdecimal() and n == str(int(n)))


def named(names: Iterable[str]) -> list[str]:
    """Return the valid names of runs, models, tags or algorithms among these, sorted."""
    return sorted(name for name in names if _NAMED.fullmatch(name))


def stems(names: Iterable[str]) -> list[str]:
    """Return the names of the records ``<name>.json`` among these files, sorted."""
    return named(name.removesuffix(".json") for name in names if name.endswith(".json"))


def digests(names: Iterable[str]) -> list[str]:
    """Return the valid names of blobs among these, sorted."""
    return sorted(name for name in names if _DIGESTS.fullmatch(name))


def is_blob(key: str) -> bool:
    """Return whether a key has the form of a blob's key."""
    return _BLOB.fullmatch(key) is not None


def is_blob_file(name: str) -> bool:
    """Return whether a file name is one of those that blobs use."""
    return _FILE.fullmatch(name) is not None


def of_blob(key: str, paths: Iterable[str]) -> list[str]:
    """Return those of these paths that are files of the blob at a key."""
    return [path for path in paths if is_blob_file(path.removeprefix(f"{key}/"))]


def is_hidden(name: str) -> bool:
    """Return whether a name under ``tmp/`` is that of a hidden blob."""
    return _ASIDE.fullmatch(name) is not None


def is_scratch(key: str) -> bool:
    """Return whether a key is that of an unfinished write, of this or an earlier version."""
    return _STAGED.fullmatch(key) is not None or is_old_scratch(key)


def is_old_scratch(key: str) -> bool:
    """Return whether a key is that of an unfinished write of an earlier version."""
    return _STAGED_BEFORE.fullmatch(key) is not None


def is_empty_scratch(key: str) -> bool:
    """Return whether a key is that of a short-lived empty object, of this or earlier versions."""
    return _EMPTY.fullmatch(key) is not None


def hidden(key: str) -> str:
    """Return the key of a folder while it is hidden."""
    return f"tmp/{HIDDEN}{key.replace('/', ':')}"


def shown(name: str) -> str:
    """Return the original key of the folder hidden under this name."""
    return name.removeprefix(HIDDEN).replace(":", "/")
