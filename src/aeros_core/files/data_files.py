"""Files that parts read, and which of them a site gives.

A part reads through `open_file`, whatever its option holds: text as somebody typed it, or
a `DataFile` that a site granted, which is opened below the site's data root.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from aeros_core.errors import AccessError, ConfigError
from aeros_core.files import safe_open

__all__ = [
    "ANYWHERE",
    "NOWHERE",
    "DataFile",
    "FileAccess",
    "below",
    "beside",
    "dataset",
    "exists",
    "inside",
    "listing",
    "open_file",
]

_LONGEST = 300
"""Characters of a path that a message shows."""

_SYSTEM = ("/dev", "/proc", "/sys")
"""Where the kernel shows itself: no folder of data is, holds or lies in one of these."""


@dataclass(frozen=True, slots=True)
class FileAccess:
    """Which files a part may be given by options that name files or folders.

    Args:
        root: The folder that they lie in; empty: there is none.
        anywhere: Whether any file that this process may read will do.
    """

    root: str = ""
    anywhere: bool = False

    def grant(self, value: str, option: str) -> DataFile:
        """Return a path that a part may read; one that was granted already stays as it is.

        Args:
            value: The path as it was asked for; below a root it is relative to that.
            option: The option that names it, for messages.

        Raises:
            AccessError: The site does not give that file.
        """
        if isinstance(value, DataFile):
            return value
        _check_text(value, option)
        if self.anywhere:
            return DataFile(value, self)
        if not self.root:
            raise AccessError(
                f"the task asks for {option}={_shown(value)}, and this site gives tasks no file",
                kind="the task names a file, and the site has no data root",
                hint="--data-root DIR gives tasks the files below it;"
                f" --own --set {option}=FILE gives this one",
            )
        granted = DataFile("/".join([self.root, *self._steps(value, option)]), self)
        _check_now(granted, option)
        return granted

    def usual(self, name: str, option: str) -> DataFile:
        """Return where a data set lies if nothing says so: below the root, or as `dataset` says.

        Raises:
            AccessError: The site does not give that file.
        """
        return self.grant(dataset(name) if self.anywhere else name, option)

    def _steps(self, value: str, option: str) -> list[str]:
        """Return the names that lead from the root to a file."""
        inner = "" if value == self.root else value.removeprefix(f"{self.root}/")
        steps = [name for name in inner.split("/") if name not in ("", ".")]
        if inner.startswith("/") or ".." in steps:
            raise AccessError(
                f"the task asks for {option}={_shown(value)}, outside the data root {self.root}",
                kind="the task names a file outside the data root",
                hint=f"{option}=<path below {self.root}>",
            )
        return steps


class DataFile(str):
    """The path of a file or folder that a site gives a part, and how far that goes.

    The text is the path; below a root it is absolute.

    Attributes:
        access: What granted it.
    """

    __slots__ = ("access",)

    access: FileAccess

    def __new__(cls, path: str, access: FileAccess) -> DataFile:
        """Return the path, with what granted it."""
        made = super().__new__(cls, path)
        made.access = access
        return made

    def __reduce__(self) -> tuple[object, ...]:
        """Keep what granted it when it crosses a process boundary."""
        return DataFile, (str(self), self.access)


ANYWHERE = FileAccess(anywhere=True)
"""Whoever set the option may read what the process may: one user's own machine."""

NOWHERE = FileAccess()
"""No file but those that were granted already."""


def below(root: str | Path) -> FileAccess:
    """Return access to what lies in a folder, and to nothing else.

    Raises:
        ConfigError: There is no such folder, or it is no folder of data.
    """
    folder = Path(root).resolve()
    if not folder.is_dir():
        raise ConfigError(
            f"the data root {root} is not a folder", hint="--data-root DIR, a folder that exists"
        )
    if any(safe_open.lies_in(system, str(folder)) for system in _SYSTEM) or any(
        safe_open.lies_in(str(folder), system) for system in _SYSTEM
    ):
        raise ConfigError(
            f"the data root {root} holds files of the system",
            hint="--data-root DIR, a folder that holds data alone",
        )
    return FileAccess(str(folder))


def dataset(name: str) -> str:
    """Return the usual place of a data set: below ``$AEROS_DATA``, or else below ``data``."""
    return str(Path(os.environ.get("AEROS_DATA") or "data") / name)


def inside(folder: str, name: str) -> str:
    """Return the path of what lies in a folder, granted as far as the folder was."""
    path = str(Path(folder) / name)
    return DataFile(path, folder.access) if isinstance(folder, DataFile) else path


def beside(path: str | Path) -> str:
    """Return the folder that a file lies in, granted as far as the file was."""
    folder = str(Path(path).parent)
    return DataFile(folder, path.access) if isinstance(path, DataFile) else folder


def open_file(path: str | Path, option: str = "") -> BinaryIO:
    """Open a file to read its bytes; it is a regular file, or refused without waiting.

    Args:
        path: Text as somebody typed it, or a `DataFile`.
        option: The option that named it, for messages.

    Raises:
        OSError: It is not there, or may not be read.
        ConfigError: It is a folder, a pipe, a device or a socket.
        AccessError: It was granted below a root, and a link leads out of there.
    """
    path = str(path) if isinstance(path, Path) else path
    _check_text(path, option)
    said = f"{option}={_shown(path)}" if option else _shown(path)
    return os.fdopen(safe_open.open_regular(path, _root(path), said), "rb")


def exists(path: str) -> bool:
    """Tell whether a path leads to a regular file that may be given."""
    try:
        found = safe_open.status(path, _root(path))
    except (OSError, ValueError, AccessError):
        return False
    return stat.S_ISREG(found.st_mode)


def listing(folder: str) -> list[str]:
    """Return the names of the regular files in a folder, sorted; empty if there is none."""
    try:
        names = safe_open.names(folder, _root(folder))
    except (OSError, ValueError, AccessError):
        return []
    return sorted(name for name in names if exists(inside(folder, name)))


def _root(path: str) -> str:
    return path.access.root if isinstance(path, DataFile) else ""


def _check_text(value: object, option: str) -> None:
    if not isinstance(value, str):
        raise ConfigError(
            f"{option} must be the path of a file, got a {type(value).__name__}",
            hint=f"{option}=<path>",
        )
    try:
        if b"\0" not in os.fsencode(value):
            return
    except UnicodeEncodeError:
        pass
    raise ConfigError(
        f"{option}={_shown(value)} holds a character that no path has", hint=f"{option}=<path>"
    )


def _shown(path: str) -> str:
    """Return a path for a message: one line, of a length that a person reads."""
    shown = str(path) if path.isprintable() else ascii(path)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def _check_now(path: DataFile, option: str) -> None:
    """Refuse a link that is there already, for parts that open files by other means."""
    try:
        found = safe_open.status(path, path.access.root)
    except OSError:
        return  # missing, or not readable: whoever reads it says so
    if not stat.S_ISDIR(found.st_mode):
        safe_open.check(found, path.access.root, f"{option}={_shown(path)}")
