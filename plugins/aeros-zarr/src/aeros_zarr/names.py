"""Names of runs, tasks, models and tags: they become file names."""

from __future__ import annotations

import re

from aeros_core.errors import ConfigError

__all__ = ["check"]

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


def _possible(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:128] or "mnist-1"
