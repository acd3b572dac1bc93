"""Files and folders that only aeros can have made: what may be removed of a disk.

A name alone proves nothing, as others may give any name to what is theirs. A blob holds
nothing but its files, a record begins as every record does; symbolic links are never ours.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from aeros_zarr.stores.layout import HEAD, is_blob_file

__all__ = ["clear", "clear_folder", "files", "fill", "is_ours", "moved", "prune", "remove_blob"]

_RECORD = b'{"format":'


def files(folder: Path) -> list[str] | None:
    """Return the files of a blob, ``zarr.json`` first; None if there is anything else in it.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    if folder.is_symlink():
        return None
    names: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not is_blob_file(entry.name) or not entry.is_file(follow_symlinks=False):
                return None
            names.append(entry.name)
    return sorted(names, key=lambda name: name != HEAD)


def is_ours(path: Path, *, old: bool) -> bool:
    """Tell whether a file or folder that has the name of a scratch file was written by aeros.

    Args:
        path: Where it lies.
        old: Whether its name is that of an earlier version: it then has to hold something that
            says so; an empty file or folder stays.
    """
    try:
        if path.is_symlink():
            return False
        if path.is_dir():
            names = files(path)
            return names is not None and (not old or bool(names))
        if not path.is_file():
            return False
        with path.open("rb") as file:
            begin = file.read(len(_RECORD))
    except OSError:
        return False
    return begin == _RECORD or (not old and not begin)


def clear(path: Path) -> None:
    """Remove a file, or a folder and the files of a blob in it; anything else in it stays."""
    if path.is_dir() and not path.is_symlink():
        clear_folder(path)
    else:
        path.unlink(missing_ok=True)


def clear_folder(folder: Path) -> int:
    """Remove a folder and the files of a blob in it; return their bytes.

    Whatever else lies in it stays, and so does the folder then.
    """
    nbytes = 0
    with suppress(FileNotFoundError):
        names = [e.name for e in os.scandir(folder) if e.is_file(follow_symlinks=False)]
        for name in sorted(filter(is_blob_file, names), key=lambda name: name != HEAD):
            nbytes += (folder / name).lstat().st_size
            (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
    return nbytes


def remove_blob(path: Path, aside: Path) -> None:
    """Remove a blob as a whole, or only its files where others have put something beside them.

    Args:
        path: Where it lies.
        aside: Where it is moved to first; nothing lies there.

    Raises:
        FileNotFoundError: There is none.
    """
    names = files(path)
    if names is None:
        if not path.is_symlink():
            clear_folder(path)
        return
    path.rename(aside)
    try:
        for name in names:
            os.unlink(f"{aside}/{name}")  # noqa: PTH108 - half of what a Path takes
        aside.rmdir()
    except OSError:  # somebody has put something there in this moment
        moved(aside, path)


def prune(*folders: Path) -> None:
    """Remove folders in which nothing is left."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def moved(folder: Path, target: Path) -> bool:
    """Move a folder to where there is none; tell whether."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        return False
    return True


def fill(folder: Path, target: Path) -> None:
    """Move the files of a blob to a folder that lacks them, where others have something."""
    if (target / HEAD).exists():
        return
    for name in reversed(files(folder) or []):
        (folder / name).replace(target / name)
