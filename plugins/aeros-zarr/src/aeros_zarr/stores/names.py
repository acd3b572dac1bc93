"""Names of runs, tasks, models and tags: they become file names, and parts of messages."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from aeros_core.errors import ConfigError

__all__ = ["check", "check_new", "spelled"]

_SHOWN = 10

_RULE = "up to 128 letters, digits, '.', '_' and '-', a letter or digit first"

_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Names of devices that no file may have on some systems, whatever follows a dot."""

_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def check(kind: str, name: str) -> str:
    """Return ``name`` if it can be the name of a ``kind``.

    Raises:
        ConfigError: It cannot.
    """
    if not _ALLOWED.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a {kind}",
            exists=_RULE,
            hint=f"for instance {_possible(name)}",
        )
    return name


def check_new(kind: str, name: str, there: Collection[str] = ()) -> str:
    """Return ``name`` if a new ``kind`` may be given it, here and wherever a store is copied to.

    Args:
        kind: What is to have the name.
        name: A name.
        there: Names that are given already; one of them may be ``name`` itself.

    Raises:
        ConfigError: It may not.
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
            f"{name!r} differs from the {kind} {alike[0]!r}, which is there, only in case:"
            " on some systems they are one file",
            hint=f"the same name, {alike[0]}, or another one",
        )
    return name


def spelled(kind: str, names: Sequence[str | int]) -> str:
    """Return for example ``runs a, b`` or ``versions 1, …, 9``, shortened where it is long."""
    if not names:
        return f"no {kind} at all"
    some = [*names] if len(names) <= _SHOWN else [names[0], "…", *names[1 - _SHOWN :]]
    return f"{kind}{'s'[: len(names) > 1]} {', '.join(map(str, some))}"


def _possible(name: str) -> str:
    possible = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:128].rstrip(".")
    return f"my-{possible}" if _RESERVED.fullmatch(possible) else possible or "mnist-1"
