"""Recognise and remove files and folders of a disk that were written by aeros.

A name alone is not sufficient, as other programs may use any name. A blob folder contains only
blob files, a record begins with a fixed prefix, and symbolic links are never written by aeros.
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
    """Return the files of a blob, ``zarr.json`` first; None if the folder has other content.

    Raises:
        FileNotFoundError: The folder does not exist.
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
    """Return whether a file or folder with the name of a scratch file was written by aeros.

    Args:
        path: Its path.
        old: Its name has the form of an earlier version, which is less specific: then its
            content has to prove it, and an empty file or folder does not count.
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
    """Remove a file, or the blob files of a folder; other content of the folder is kept."""
    if path.is_dir() and not path.is_symlink():
        clear_folder(path)
    else:
        path.unlink(missing_ok=True)


def clear_folder(folder: Path) -> int:
    """Remove a folder and the blob files in it; return the number of bytes removed.

    Other content is kept, and so is the folder in that case.
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
    """Remove a blob atomically, or only its files if the folder has other content.

    Args:
        path: The folder of the blob.
        aside: An unused path that the blob is moved to first.

    Raises:
        FileNotFoundError: The folder does not exist.
    """
    names = files(path)
    if names is None:
        if not path.is_symlink():
            clear_folder(path)
        return
    path.rename(aside)
    try:
        for name in names:
            os.unlink(f"{aside}/{name}")  # noqa: PTH108 - half the time of a Path
        aside.rmdir()
    except OSError:  # another program has just added a file
        moved(aside, path)


def prune(*folders: Path) -> None:
    """Remove those folders that are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def moved(folder: Path, target: Path) -> bool:
    """Move a folder to an unused path; return False if the path is in use."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        return False
    return True


def fill(folder: Path, target: Path) -> None:
    """Move the files of a blob to an existing folder, unless that holds the blob already."""
    if (target / HEAD).exists():
        return
    for name in reversed(files(folder) or []):
        (folder / name).replace(target / name)
