"""Rows of no meaning that keep a schema: to warm a model, and to compare its predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.schema import Field

__all__ = ["different_rows", "lowest_rows", "rows_of_ones"]

_WORDS = ("a", "b", "c")
"""Texts of fields without categories."""

_FAR = 5
"""How much larger than the others numbers of a row of extremes are."""

_INTEGERS = (0, 1)
"""Range of integers of which none is known: codes of a small table must not be left."""


def lowest_rows(fields: Mapping[str, Field], rows: int, free: int) -> Batch:
    """Return equal rows: lowest values, first categories.

    Args:
        fields: By name.
        rows: How many.
        free: Length of dimensions that may have any.
    """
    return {name: _lowest(field, _shape(field, rows, free)) for name, field in fields.items()}


def rows_of_ones(fields: Mapping[str, Field], rows: int, free: int) -> Batch:
    """Return `lowest_rows` with 1 in fields of no known range, such as shapes and counts."""
    found = lowest_rows(fields, rows, free)
    free_to_choose = [
        name
        for name, field in fields.items()
        if field.dtype != "str" and field.range is None and not field.categories
    ]
    return {**found, **{name: np.ones_like(found[name]) for name in free_to_choose}}


def different_rows(fields: Mapping[str, Field], rows: int, free: int) -> Batch:
    """Return rows that differ, the same with every call: values within ranges and categories.

    Numbers of the last row are extremes of their field where it has a range, and large where it
    has none: what is computed from a whole batch, as the range of dynamic 8 bits, changes with it.

    Args:
        fields: By name.
        rows: How many.
        free: Length of dimensions that may have any.
    """
    rng = np.random.default_rng(0)
    found = {name: _drawn(field, _shape(field, rows, free), rng) for name, field in fields.items()}
    for name, column in found.items():
        if column.dtype.kind == "f" and rows > 1:
            column[-1] = _extremes(fields[name], column[-1])
    return found


def _extremes(field: Field, row: Array) -> Array:
    """Return a row of floating-point numbers, each at an end of its range, or large."""
    low, high = field.range or (-math.inf, math.inf)
    if not (math.isfinite(low) and math.isfinite(high)):
        far: Array = row * row.dtype.type(_FAR)
        return far
    ends = np.where(np.arange(row.size) % 2, low, high).reshape(row.shape)
    return _clipped(ends, row.dtype).astype(row.dtype)


def _shape(field: Field, rows: int, free: int) -> tuple[int, ...]:
    return (rows, *(free if n is None else n for n in field.shape))


def _lowest(field: Field, shape: tuple[int, ...]) -> Array:
    if field.dtype == "str":
        return np.full(shape, field.categories[0] if field.categories else "", dtype=object)
    dtype = _numeric(field)
    if dtype.kind in "iu":
        return np.full(shape, _bounds(field, dtype)[0], dtype)
    low = 0.0 if field.range is None or not math.isfinite(field.range[0]) else field.range[0]
    return np.full(shape, _clipped(low, dtype), dtype)


def _drawn(field: Field, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if field.dtype == "str":
        words = np.array(field.categories or _WORDS, dtype=object)
        return words[rng.integers(0, len(words), shape)]
    dtype = _numeric(field)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.kind == "f":
        return _floats(field, dtype, shape, rng).astype(dtype)
    low, high = _bounds(field, dtype)
    return rng.integers(low, high, shape, dtype=dtype, endpoint=True)


def _numeric(field: Field) -> np.dtype[Any]:
    return np.dtype("float32" if field.dtype == "*" else field.dtype)


def _bounds(field: Field, dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the lowest and the highest integer of a field that its dtype holds."""
    low, high = field.range or _INTEGERS
    if not math.isfinite(low):
        low, high = 0, max(high, 1)
    if field.categories:
        low, high = 0, len(field.categories) - 1
    span = np.iinfo(dtype)
    first = min(max(int(low), span.min), span.max)
    last = span.max if high == math.inf else min(int(high), span.max)
    return first, max(first, last)


def _floats(
    field: Field, dtype: np.dtype[Any], shape: tuple[int, ...], rng: np.random.Generator
) -> Array:
    low, high = field.range or (math.nan, math.nan)
    if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(high - low)):
        return rng.standard_normal(shape)
    return _clipped(rng.uniform(low, max(low, high), shape), dtype)


def _clipped(values: Array | float, dtype: np.dtype[Any]) -> Array:
    """Return values within the range of a floating-point dtype."""
    if dtype.kind != "f":
        return np.asarray(values)
    limits = np.finfo(dtype)
    return np.clip(np.asarray(values, np.float64), float(limits.min), float(limits.max))
