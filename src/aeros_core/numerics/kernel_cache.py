"""Where compiled kernels are kept: on disk, in a folder that no other user can write to.

numba keeps machine code in index files that are pickles, so who can write one runs code in the
process that reads it. A folder is read if it and each folder above it belong to this user or
root and are not writable by group or others (above it, a sticky folder like ``/tmp`` will do).
Elsewhere kernels are compiled anew in each process. numba itself is not imported here.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import stat
from pathlib import Path
from typing import Any

__all__ = ["configure", "writable_by_others"]

_log = logging.getLogger(__name__)

OTHERS = stat.S_IWGRP | stat.S_IWOTH


def configure(dispatcher: Any) -> None:
    """Let a function compiled by numba read and write its cache, where that is safe.

    A damaged cache file is dropped, and the function compiled again.

    Args:
        dispatcher: What ``numba.njit`` returned, not called so far.
    """
    alone = dispatcher._cache
    try:
        dispatcher.enable_caching()
    except RuntimeError:  # no place can be written: in memory alone
        return
    cache = dispatcher._cache
    index = Path(cache._cache_file._index_path)
    if _unsafe(str(index.parent)) or any(
        writable_by_others(path) for path in index.parent.glob(f"{index.stem}.*")
    ):
        dispatcher._cache = alone
        return
    cache._load_overload = functools.partial(_loaded, cache, cache._load_overload)


def _loaded(cache: Any, load: Any, *arguments: Any) -> Any:
    """Return a compiled function from its cache; None, to compile it, if that is damaged."""
    try:
        return load(*arguments)
    except Exception as error:  # whatever a damaged pickle or object file raises
        _log.warning(
            "a kernel is compiled again, its file in %s is damaged: %r", cache.cache_path, error
        )
        with contextlib.suppress(OSError):
            cache.flush()
        return None


@functools.lru_cache(maxsize=64)
def _unsafe(folder: str) -> bool:
    """Tell whether others could have written to a folder, or put another in its place; log it."""
    path = Path(os.path.realpath(folder))
    found = [path] * writable_by_others(path)
    found += [each for each in path.parents if writable_by_others(each, sticky=True)]
    if not found:
        return False
    _log.warning(
        "kernels are compiled anew in each process, not read from %s, as other users can write"
        " to %s; next: chmod go-w %s, or NUMBA_CACHE_DIR=DIR with a folder of your own",
        *(folder, found[0], found[0]),
    )
    return True


def writable_by_others(path: Path, *, sticky: bool = False) -> bool:
    """Tell whether another user than this one and root can write to a file or folder.

    Args:
        path: The file or folder; one that is not there cannot be written.
        sticky: Whether a folder will do in which each user can change his own entries alone.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    if status.st_uid not in (0, os.getuid()):
        return True
    kept = sticky and bool(status.st_mode & stat.S_ISVTX)
    return bool(status.st_mode & OTHERS) and not kept and not stat.S_ISLNK(status.st_mode)
