"""Names of runs, tasks, models and tags: they become file names, and parts of messages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aeros_core.errors import ConfigError

__all__ = ["check", "spelled"]

_SHOWN = 10

_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def check(kind: str, name: str) -> str:
    """Return ``name`` if it can be the name of a ``kind``.

    Raises:
        ConfigError: It cannot.
    """
    if not _ALLOWED.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a {kind}",
            exists="up to 128 letters, digits, '.', '_' and '-', a letter or digit first",
            hint=f"for instance {_possible(name)}",
        )
    return name


def spelled(kind: str, names: Sequence[str | int]) -> str:
    """Return for example ``runs a, b`` or ``versions 1, …, 9``, shortened where it is long."""
    if not names:
        return f"no {kind} at all"
    some = [*names] if len(names) <= _SHOWN else [names[0], "…", *names[1 - _SHOWN :]]
    return f"{kind}{'s'[: len(names) > 1]} {', '.join(map(str, some))}"


def _possible(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:128] or "mnist-1"
