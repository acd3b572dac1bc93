"""Bounds on what one node may send beside its parameters: figures, arrays, names, texts.

A round goes on whatever a node sends, so nothing of it may cost without end: a reply beyond a
bound is refused and counted, the others go on. Names come from strangers and end up in files
and logs; control characters in them, with which a line could be forged, are refused too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from aeros_core.arrays import Vector
from aeros_core.tasks.round_counters import Refusal

__all__ = [
    "MOST_ARRAYS",
    "MOST_FIGURES",
    "MOST_SHARES",
    "NAME_LENGTH",
    "arrays_fault",
    "figures_fault",
    "name_fault",
]

MOST_FIGURES = 1000
"""Metrics, or scalars, of one update or evaluation."""

MOST_SHARES = 100_000
"""Metrics of one node's predictions, which have one for each class."""

MOST_ARRAYS = 100
"""Arrays that come with a reply beside the parameters."""

NAME_LENGTH = 200
"""Characters of a name."""

_RESERVED = frozenset({"examples"})
"""Names of figures that a reply has anyway."""


@lru_cache(maxsize=4096)
def name_fault(name: object) -> str | None:
    """Return what is wrong with a name that a node sent; None for a good one."""
    if not isinstance(name, str):
        return f"a name is {type(name).__name__}, not text"
    if not 0 < len(name) <= NAME_LENGTH:
        return f"a name has {len(name)} characters, 1 to {NAME_LENGTH} are allowed"
    if not name.isprintable():
        return f"the name {name!a} holds control characters"
    return None


def figures_fault(
    figures: Mapping[str, Any],
    what: str = "metrics",
    most: int = MOST_FIGURES,
    *,
    infinite: bool = False,
) -> Refusal | None:
    """Return why a node's metrics or scalars are refused; None for good ones.

    Args:
        figures: Finite numbers by name.
        what: What they are, for the reason.
        most: How many there may be.
        infinite: Whether NaN and infinity pass, for admission to refuse.
    """
    if type(figures) is dict and len(figures) <= _FEW and _are_plain(figures):
        return None
    if not isinstance(figures, Mapping):
        return Refusal("figures", f"{what} are {type(figures).__name__}, not numbers by name")
    if len(figures) > most:
        return Refusal("figures", f"{len(figures)} {what}, at most {most} are allowed")
    for name, value in figures.items():
        if wrong := name_fault(name):
            return Refusal("figures", f"among its {what} {wrong}")
        if name in _RESERVED:
            return Refusal("figures", f"among its {what} is '{name}', which a reply has already")
        if isinstance(value, bool | np.bool_) or not isinstance(value, _NUMBERS):
            kind = type(value).__name__
            return Refusal("figures", f"'{name}' among its {what} is {kind}, not a number")
        if not infinite and not _is_finite(value):
            return Refusal("not finite", f"NaN or infinity among its {what}")
    return None


_NUMBERS = (int, float, np.integer, np.floating)

_FEW = 16
"""Figures up to which the names of a reply are remembered as valid, all at once."""


def _are_plain(figures: dict[str, Any]) -> bool:
    """Return whether these are finite floats under valid names, as nearly all figures are.

    This is checked several times for every update, and a round may have thousands.
    """
    for value in figures.values():
        if type(value) is not float or not math.isfinite(value):
            return False
    return _are_valid(tuple(figures))


@lru_cache(maxsize=1024)
def _are_valid(names: tuple[object, ...]) -> bool:
    return _RESERVED.isdisjoint(names) and not any(map(name_fault, names))


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def arrays_fault(arrays: Mapping[str, Vector], what: str, longest: int) -> Refusal | None:
    """Return why arrays that come with a reply are refused; None for good ones.

    Args:
        arrays: Arrays by name.
        what: What they are, for the reason.
        longest: First dimension that one may have.
    """
    if len(arrays) > MOST_ARRAYS:
        return Refusal("figures", f"{len(arrays)} {what}, at most {MOST_ARRAYS} are allowed")
    for name, array in arrays.items():
        if wrong := name_fault(name) or _path_fault(name):
            return Refusal("figures", f"among its {what} {wrong}")
        if len(array) > longest:
            text = f"'{name}' among its {what} has {len(array)} elements, at most {longest}"
            return Refusal("figures", text)
    return None


def _path_fault(name: str) -> str | None:
    """Return why arrays of this name could not be written to an archive of them."""
    if name in ("file", "allow_pickle", ".", "..") or set(name) & set("/\\"):
        return f"the name '{name}' could not be stored"
    return None
