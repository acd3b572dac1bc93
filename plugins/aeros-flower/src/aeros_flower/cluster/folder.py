"""The folder of ``aeros up``: only what it has made there is written again or removed.

A marker says that the folder is its own. A folder that has files of the same names but no marker
is somebody else's, unless it is ``.aeros`` and holds nothing but what an earlier version made.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from aeros_core.errors import ConfigError

__all__ = ["FOLDER", "acquire", "opened", "remove_socket"]

FOLDER = Path(".aeros")
_MARKER = "aeros-up.txt"
_TEXT = "aeros up has made this folder: logs, sockets and the state of executors on this machine.\n"
_OURS = re.compile(r"executors\.json|controller|state|controller\.log|executor-[1-9][0-9]*\.log")


def acquire(folder: Path) -> None:
    """Make the folder, or make sure that it is ours.

    Raises:
        ConfigError: It has files of others under names that would be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / _MARKER
    if marker.is_file() and not marker.is_symlink() and marker.read_text("utf-8") == _TEXT:
        return
    names = sorted(path.name for path in folder.iterdir())
    taken = [name for name in names if _OURS.fullmatch(name) or name == _MARKER]
    before = folder.name == FOLDER.name and taken == names
    if taken and not before:
        raise ConfigError(
            f"{folder} has {', '.join(taken)}, which aeros up has not made:"
            " it writes nothing there",
            hint=f"aeros up --folder {folder / FOLDER}",
        )
    with opened(marker) as file:
        file.write(_TEXT.encode())


def opened(path: Path) -> BinaryIO:
    """Open a file of ours to be written anew; a link in its place is not followed.

    Raises:
        ConfigError: There is a link to something else.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    try:
        return os.fdopen(os.open(path, flags, 0o644), "wb")
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR):
            raise
        what = "a link" if path.is_symlink() else "a folder"
        raise ConfigError(
            f"{path} is {what}, which aeros up has not made",
            hint=f"move it, or aeros up --folder {path.parent / FOLDER}",
        ) from error


def remove_socket(path: Path) -> None:
    """Remove a socket that a process of before has left, and nothing else."""
    try:
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
    except FileNotFoundError:
        return
