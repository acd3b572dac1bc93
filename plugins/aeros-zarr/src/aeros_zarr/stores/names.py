"""Validate names of runs, tasks, models and tags, which become file names."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from aeros_core.errors import ConfigError

__all__ = ["check", "check_new", "spelled"]

_SHOWN = 10

_RULE = "up to 128 letters, digits, '.', '_' and '-', a letter or digit first"

_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Device names that Windows does not allow as file names, with or without an extension."""

_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def check(kind: str, name: str) -> str:
    """Return ``name`` if it is a valid name of a ``kind``.

    Raises:
        ConfigError: The name is invalid.
    """
    if not _ALLOWED.fullmatch(name):
        raise ConfigError(
            f"{name!r} is not a valid name of a {kind}",
            exists=_RULE,
            hint=f"for instance {_possible(name)}",
        )
    return name


def check_new(kind: str, name: str, there: Collection[str] = ()) -> str:
    """Return ``name`` if it is valid for a new ``kind``, on all systems a store may be copied to.

    Args:
        kind: The kind of object: "run", "model", ….
        name: The new name.
        there: Existing names; ``name`` may be one of them.

    Raises:
        ConfigError: The name is invalid, reserved on some systems, or differs from an existing
            one only in case.
    """
    check(kind, name)
    if name.endswith(".") or _RESERVED.fullmatch(name):
        why = "it ends in a dot" if name.endswith(".") else "some systems reserve it for a device"
        raise ConfigError(
            f"{name!r} must not be the name of a {kind}: {why}",
            exists=_RULE,
            hint=f"for instance {_possible(name)}",
        )
    alike = [each for each in there if each != name and each.casefold() == name.casefold()]
    if alike and name not in there:
        raise ConfigError(
            f"{name!r} differs from the existing {kind} {alike[0]!r} only in case:"
            " on some systems they are one file",
            hint=f"use {alike[0]}, or another name",
        )
    return name


def spelled(kind: str, names: Sequence[str | int]) -> str:
    """Return for example ``runs a, b`` or ``versions 1, …, 9``; long lists are shortened."""
    if not names:
        return f"no {kind} at all"
    some = [*names] if len(names) <= _SHOWN else [names[0], "…", *names[1 - _SHOWN :]]
    return f"{kind}{'s'[: len(names) > 1]} {', '.join(map(str, some))}"


def _possible(name: str) -> str:
    possible = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:128].rstrip(".")
    return f"my-{possible}" if _RESERVED.fullmatch(possible) else possible or "mnist-1"
