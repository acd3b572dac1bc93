"""Checks of option values and column names, with one wording for all."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from aeros_core.errors import ConfigError
from aeros_core.options.ranges import check_range

__all__ = ["above", "all_known", "at_least", "fraction", "known", "override"]


def at_least(option: str, value: int, least: int) -> None:
    """Refuse a value below ``least``.

    Raises:
        ConfigError: It is.
    """
    check_range(option, value, value >= least, f"at least {least}")


def above(option: str, value: float, limit: float) -> None:
    """Refuse a value that is not above ``limit`` (NaN is not).

    Raises:
        ConfigError: It is not.
    """
    check_range(option, value, limit < value < float("inf"), f"above {limit:g}")


def fraction(option: str, value: float) -> None:
    """Refuse a value outside 0 to below 1.

    Raises:
        ConfigError: It is.
    """
    check_range(option, value, 0 <= value < 1, "0 to below 1")


def known(option: str, name: str, names: Sequence[str], where: str) -> None:
    """Refuse a name that is not among ``names``, and say which comes nearest.

    Raises:
        ConfigError: It is not.
    """
    if name in names:
        return
    asked = f"{option}={name} is not in {where}" if name else f"{option} is not set"
    lower = {other.lower(): other for other in reversed(names)}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    hint = override(option, lower[near[0]]) if near else f"{option}=<one of these>"
    raise ConfigError(asked, exists=", ".join(names) or "nothing at all", hint=hint)


def all_known(option: str, wanted: Iterable[str], names: Sequence[str], where: str) -> None:
    """Refuse the first name of ``wanted`` that is not among ``names``; see `known`.

    Raises:
        ConfigError: One is not.
    """
    there = frozenset(names)
    for name in wanted:
        if name not in there:
            known(option, name, names, where)


def override(option: str, *values: str) -> str:
    """Return what to type to set an option to a text, or to a list of several."""
    quoted = [v if re.fullmatch(r"[\w.+/-]+", v) else f'"{v}"' for v in values]
    text = quoted[0] if len(quoted) == 1 else f"[{','.join(quoted)}]"
    return f"{option}={text}" if text == values[0] else f"'{option}={text}'"
