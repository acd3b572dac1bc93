"""An algorithm unpacked in a folder: its files are known from its wheel, others' are kept.

A folder is an algorithm's if it has the ``METADATA`` of that name and version; of it, what its
``RECORD`` lists may be removed, and byte code. Files of others are never removed.
As they could be imported, they are moved beside the folder when the algorithm is unpacked anew.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.parser import Parser
from pathlib import Path

from packaging.utils import canonicalize_name

from aeros_algorithms.wheels.signed_statement import Refused

__all__ = ["holds", "is_ours", "remove", "unpack"]

_log = logging.getLogger(__name__)


def is_ours(folder: Path) -> bool:
    """Tell whether an algorithm was unpacked in a folder of its name and version."""
    name, _, version = folder.name.rpartition("-")
    if folder.is_symlink() or not name:
        return False
    for file in folder.glob("*.dist-info/METADATA"):
        with suppress(OSError, ValueError):
            told = Parser().parsestr(file.read_text(encoding="utf-8"), headersonly=True)
            if canonicalize_name(told["Name"] or "") == canonicalize_name(name):
                return bool(told["Version"] == version)
    return False


def holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Tell whether a folder has these files, byte for byte, and no other; drop its byte code."""
    _drop_byte_code(folder)
    there = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    if folder.is_symlink() or any(map(Path.is_symlink, there.values())):
        return False
    return there.keys() == files.keys() and all(
        there[path].read_bytes() == data for path, data in files.items()
    )


def remove(folder: Path) -> None:
    """Remove an algorithm; a folder in which others have something stays, with that."""
    _drop_byte_code(folder)
    for path in sorted(_recorded(folder), reverse=True):
        place = folder / path
        if not place.is_symlink():
            place.unlink(missing_ok=True)
    _prune(folder)


def unpack(folder: Path, files: Mapping[str, bytes]) -> None:
    """Let the files appear at once; a killed process leaves a hidden folder at most.

    Raises:
        Refused: There is something else than an algorithm.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    if (folder.exists() or folder.is_symlink()) and not is_ours(folder):
        raise Refused(
            f"{folder} is there, and is not an algorithm that aeros has unpacked",
            hint="move it, or AEROS_ALGORITHMS=<another folder>",
        )
    aside = folder.with_name(f".{secrets.token_hex(8)}")
    try:
        for path, data in files.items():
            target = aside / path
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
        if folder.exists():
            _move_others(folder, files)
            remove(folder)
        aside.rename(folder)
    finally:
        for path in files:
            (aside / path).unlink(missing_ok=True)
        _prune(aside)


def _move_others(folder: Path, files: Mapping[str, bytes]) -> None:
    """Move what is not the algorithm's beside it, and drop its own files of before."""
    _drop_byte_code(folder)
    ours = _recorded(folder) | files.keys()
    kept = folder.with_name(f".kept-{folder.name}-{secrets.token_hex(4)}")
    for place in list(_files(folder)):
        path = place.relative_to(folder).as_posix()
        if path in ours and not place.is_symlink():
            place.unlink()
            continue
        (kept / path).parent.mkdir(parents=True, exist_ok=True)
        place.rename(kept / path)
        _log.warning("%s is not of the algorithm, and is in %s now", place, kept / path)


def _recorded(folder: Path) -> set[str]:
    """Return the files that the wheel of an algorithm lists, as far as they lie in its folder."""
    found: set[str] = set()
    for record in folder.glob("*.dist-info/RECORD"):
        with suppress(OSError, ValueError):
            lines = record.read_text(encoding="utf-8").splitlines()
            found |= {line.rsplit(",", 2)[0].strip('"') for line in lines if line.count(",") > 1}
            found.add(record.relative_to(folder).as_posix())
    return {path for path in found if ".." not in path.split("/") and not path.startswith("/")}


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            yield path


def _drop_byte_code(folder: Path) -> None:
    """Remove compiled modules, whose source might have been another."""
    for compiled in folder.rglob("__pycache__/*.pyc"):
        if compiled.is_file() and not compiled.is_symlink():
            compiled.unlink(missing_ok=True)
            with suppress(OSError):
                compiled.parent.rmdir()


def _prune(folder: Path) -> None:
    """Remove a folder and those in it, as far as nothing is left in them."""
    inside = [path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink()]
    for path in (*sorted(inside, reverse=True), folder):
        with suppress(OSError):
            path.rmdir()
