"""Numbers of one dtype in another: taken where every one of them keeps its value."""

from __future__ import annotations

from typing import Any

import numpy as np

from aeros_core.arrays import Array

__all__ = ["exactly", "finite", "holds"]

_SMALL = 4096
"""Elements that are looked at one by one: a sum and what it needs take longer."""


def finite(array: Array) -> bool:
    """Tell whether all is finite; one sum says it of nearly every large array."""
    if array.size <= _SMALL:
        return bool(np.isfinite(array).all())
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.sum())) or bool(np.isfinite(array).all())


def holds(dtype: np.dtype[Any], given: np.dtype[Any]) -> bool:
    """Tell whether a dtype may hold values of another; a number is no truth value."""
    return given == dtype or (given.kind in "biuf" and dtype.kind in "iuf")


def exactly(array: Array, dtype: np.dtype[Any]) -> tuple[Array, int | None]:
    """Return finite numbers in another dtype, and the first that does not keep its value.

    Data frames send 64 bits for numbers of any width. The place is counted row-major; None: all
    keep their values.
    """
    given = array.dtype
    if given == dtype or (np.can_cast(given, dtype) and not _rounds(given, dtype)):
        return (array if given == dtype else array.astype(dtype)), None
    with np.errstate(all="ignore"):
        column = array.astype(dtype)
        kept = column.astype(given) == array
    if dtype.kind in "iu":
        kept &= _within(array, dtype)
    elif given.kind in "iu":
        kept &= _within(column, given)  # what rounds up to the end of the range is beyond it
    return column, None if kept.all() else int((~kept).argmax())


def _rounds(given: np.dtype[Any], dtype: np.dtype[Any]) -> bool:
    """Tell whether numpy calls a cast safe that rounds: 64-bit integers to floats."""
    return given.kind in "iu" and dtype.kind == "f" and given.itemsize == 8


def _within(numbers: Array, dtype: np.dtype[Any]) -> Array:
    """Return which numbers lie in the range of an integer dtype; exact for floats too."""
    span = np.iinfo(dtype)
    if numbers.dtype.kind == "f":
        wide = numbers.astype(np.float64)
        return (wide >= float(span.min)) & (wide < float(span.max + 1))
    return (numbers >= span.min) & (numbers <= span.max)
