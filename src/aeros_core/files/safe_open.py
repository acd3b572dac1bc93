"""Regular files, opened so that nothing else is: no link below a root, no pipe, no device.

Below a root a file is opened folder by folder from the root, and no symbolic link is
followed on the way (``openat`` with ``O_NOFOLLOW``): what is swapped between a check and
the opening changes nothing. Each file is looked at before it is opened, since to open a
pipe or a device does something already, and once more when it is open.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from aeros_core.errors import AccessError, ConfigError

__all__ = ["check", "lies_in", "names", "open_regular", "status"]

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_STEP = _ROOT | os.O_NOFOLLOW


def open_regular(path: str, root: str, said: str) -> int:
    """Return the number of a file that is open to be read.

    Args:
        path: The file; absolute where there is a root.
        root: The folder that it must lie in; empty: links are followed as ever.
        said: What a message calls it.

    Raises:
        OSError: It is not there, or may not be read.
        ConfigError: It is a folder, a pipe, a device or a socket.
        AccessError: A link leads out of the root.
    """
    flags = _READ | os.O_NOFOLLOW if root else _READ
    with _parent(path, root, said) as (folder, name):
        check(os.stat(name, dir_fd=folder, follow_symlinks=not root), root, said)
        try:
            number = os.open(name, flags, dir_fd=folder)
        except OSError as error:
            if root and error.errno == errno.ELOOP:
                raise _link(said) from None
            raise
    try:
        check(os.fstat(number), root, said)
    except BaseException:
        os.close(number)
        raise
    return number


def status(path: str, root: str) -> os.stat_result:
    """Return what a path leads to.

    Raises:
        OSError: There is nothing.
        AccessError: It leads through a link, below a root.
    """
    with _parent(path, root, path) as (folder, name):
        return os.stat(name, dir_fd=folder, follow_symlinks=not root)


def names(folder: str, root: str) -> list[str]:
    """Return the names of what lies in a folder.

    Raises:
        OSError: There is no such folder.
        AccessError: It lies behind a link, below a root.
    """
    if not root:
        return os.listdir(folder)  # noqa: PTH208 - a folder by number is listed, too
    with _parent(f"{folder}/.", root, folder) as (number, _):
        return os.listdir(number)  # noqa: PTH208 - Path knows no open folders


def check(found: os.stat_result, root: str, said: str) -> None:
    """Refuse what is not a regular file, and below a root what has a second name.

    Raises:
        ConfigError: It is a folder, a pipe, a device or a socket.
        AccessError: It is a symbolic or a hard link, below a root.
    """
    if root and stat.S_ISLNK(found.st_mode):
        raise _link(said)
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise ConfigError(f"{said} is {kind}, not a regular file", hint="name a file of data")
    if root and found.st_nlink != 1:
        raise AccessError(
            f"{said} is a hard link: it has {found.st_nlink} names, and others may lie elsewhere",
            kind="the task names a hard link",
            hint="copy the file, so that it lies below the data root alone",
        )


def lies_in(path: str, folder: str) -> bool:
    """Tell whether a path, as it is written, is a folder or what lies in it."""
    path = os.path.normpath(path)
    return path == folder or path.startswith(folder.rstrip("/") + "/")


@contextmanager
def _parent(path: str, root: str, said: str) -> Iterator[tuple[int | None, str]]:
    """Yield the open folder that a file lies in and its name there; None without a root."""
    if not root:
        yield None, path
        return
    if not lies_in(path, root):
        raise _link(said)
    *steps, name = path[len(root) :].strip("/").split("/")
    number = os.open(root, _ROOT)
    try:
        for step in steps:
            number = _entered(number, step, said)
        yield number, name or "."
    finally:
        os.close(number)


def _entered(folder: int, name: str, said: str) -> int:
    """Return a folder within an open one, which is closed if that went well."""
    if name == "..":
        raise _link(said)
    try:
        inner = os.open(name or ".", _STEP, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and _is_link(name, folder):
            raise _link(said) from None
        raise
    os.close(folder)
    return inner


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _link(said: str) -> AccessError:
    return AccessError(
        f"{said} leads through a symbolic link, and none is followed below a data root",
        kind="the task names a symbolic link",
        hint="move or copy the file itself to below the data root",
    )
