"""Find the folder of the keys that a user trusts, and refuse what others may write.

What decides whose code runs lies where other users cannot write: in the user's own
configuration, or in the system's. A folder that came with a project is not read, unless
it is typed.
"""

from __future__ import annotations

import os
import stat
import sys
from functools import cache
from pathlib import Path

from aeros_core.errors import ConfigError

__all__ = ["KEYS", "SYSTEM", "announce", "check_owned", "of_keys", "typed"]

KEYS = "AEROS_KEYS"
"""Environment variable: the folder of trusted keys, in place of the user's or the system's."""

SYSTEM = Path("/etc/aeros/keys")
"""Keys that the machine's administrator trusts, for users who have no folder of their own."""

_BESIDE = Path("aeros-keys")
"""Where keys were looked for once: in the working directory."""


def typed() -> Path | None:
    """Return the folder of keys that the environment names; None: it names none."""
    told = os.environ.get(KEYS, "")
    return Path(told) if told else None


def of_keys() -> Path:
    """Return the folder of trusted keys: typed, else the user's own, else the system's.

    The user's own is ``aeros/keys`` below ``$XDG_CONFIG_HOME``, or below ``~/.config`` where
    that is not set, or no absolute path (XDG Base Directory Specification 0.8).
    """
    if (told := typed()) is not None:
        return told
    own = _own()
    return SYSTEM if own is None or (SYSTEM.is_dir() and not own.exists()) else own


def _own() -> Path | None:
    base = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    if base.is_absolute():
        return base / "aeros/keys"
    try:
        home = Path.home()
    except RuntimeError:  # a container's user without an entry and without $HOME
        return None
    return home / ".config/aeros/keys" if home.is_absolute() else None


def announce(folder: Path) -> None:
    """Say once that keys in the working directory are not read, where there are any."""
    if typed() is None and folder == of_keys() and any(_BESIDE.glob("*.pub")):
        _say(f"aeros: the keys in {_BESIDE.resolve()} are not read; trusted keys lie in {folder}\n"
             f"  next: {KEYS}={_BESIDE} in the environment trusts them")  # fmt: skip


@cache
def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def check_owned(path: Path) -> None:
    """Refuse a file or folder that others may write or replace.

    It and every folder above it belongs to this user or to root, and neither their group nor
    others may write it; folders whose entries only their owners may rename, as ``/tmp``, are
    fine. Where links lead is looked at as well as where they lie.

    Raises:
        ConfigError: Others may.
    """
    lexical = Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links
    for start in dict.fromkeys((lexical, lexical.resolve())):
        for at in (start, *start.parents):
            _check_one(at)


def _check_one(path: Path) -> None:
    try:
        told = path.lstat()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if told.st_uid not in (0, os.geteuid()):
        raise ConfigError(
            f"{path} belongs to another user (number {told.st_uid})",
            exists="keys and the folders above them belong to you or to root",
            hint=f"chown {os.geteuid()} {path}, or keep the keys elsewhere: {KEYS}=FOLDER",
        )
    shared = stat.S_ISDIR(told.st_mode) and told.st_mode & stat.S_ISVTX
    if stat.S_ISLNK(told.st_mode) or shared:
        return
    if told.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        who = "anybody" if told.st_mode & stat.S_IWOTH else "its group"
        raise ConfigError(f"{who} may write {path}", hint=f"chmod o-w,g-w {path}")
