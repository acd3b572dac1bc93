"""Where records lie, what each says of its place, and which names aeros gives.

    format.json                       the marker of a repository (`aeros_zarr.format.marker`)
    models/<name>/<version>.json      name, version
    models/<name>/tags/<tag>.json     name, tag
    models/<name>/index/<n>.json      name
    algorithms/<name>/<version>.json  name, version
    runs/<id>/run.json                id
    runs/<id>/rounds/<n>.json         run, number
    runs/<id>/result.json             run
    runs/<id>/lock.json               who goes on with the run (`aeros_zarr.locks.file_lock`)
    runs/<id>/lock/<n>.json           the same in a bucket (`aeros_zarr.stores.lease`)
    blobs/<digest>/                   ``zarr.json`` and chunks ``c.<n>``; also below a run
    tmp/                              what is being written, and blobs that are being removed

So a record that has got to where another belongs is not taken for it. And a name that is none
of these was given by others: it is never read, moved or removed.
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
"""The file of a blob that is written last: with it the blob is there."""

HIDDEN = "hidden-"
"""What folders under ``tmp/`` begin with that are to go, unless somebody names them."""

SCRATCH = "aeros-"
"""What names under ``tmp/`` begin with that are being written."""

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
    """Return what the record at a key says of its place."""
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
    """Return those that may name a run, a model, a tag or an algorithm, in order."""
    return sorted(name for name in names if _NAMED.fullmatch(name))


def stems(names: Iterable[str]) -> list[str]:
    """Return the names of the records ``<name>.json`` among these files, in order."""
    return named(name.removesuffix(".json") for name in names if name.endswith(".json"))


def digests(names: Iterable[str]) -> list[str]:
    """Return those that may name a blob, in order."""
    return sorted(name for name in names if _DIGESTS.fullmatch(name))


def is_blob(key: str) -> bool:
    """Tell whether a blob lies at this key, if anything of ours does."""
    return _BLOB.fullmatch(key) is not None


def is_blob_file(name: str) -> bool:
    """Tell whether a file of this name belongs to a blob that has it."""
    return _FILE.fullmatch(name) is not None


def of_blob(key: str, paths: Iterable[str]) -> list[str]:
    """Return the files of the blob at a key among these; others may have put more there."""
    return [path for path in paths if is_blob_file(path.removeprefix(f"{key}/"))]


def is_hidden(name: str) -> bool:
    """Tell whether a blob under ``tmp/`` is hidden under this name."""
    return _ASIDE.fullmatch(name) is not None


def is_scratch(key: str) -> bool:
    """Tell whether what lies at a key is being written, by this version or an earlier one."""
    return _STAGED.fullmatch(key) is not None or is_old_scratch(key)


def is_old_scratch(key: str) -> bool:
    """Tell whether an earlier version gave this name to what it was writing."""
    return _STAGED_BEFORE.fullmatch(key) is not None


def is_empty_scratch(key: str) -> bool:
    """Tell whether an empty object was put at this key for a moment, now or by earlier versions."""
    return _EMPTY.fullmatch(key) is not None


def hidden(key: str) -> str:
    """Return where a folder lies while it is hidden."""
    return f"tmp/{HIDDEN}{key.replace('/', ':')}"


def shown(name: str) -> str:
    """Return the key of the folder that is hidden under this name."""
    return name.removeprefix(HIDDEN).replace(":", "/")
