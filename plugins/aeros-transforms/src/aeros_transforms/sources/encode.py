"""Fields from raw columns: numbers, texts, and categories as codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from aeros_core.arrays import Array
from aeros_core.errors import DataError
from aeros_core.fields.categories import name_of
from aeros_core.schema import Field

__all__ = ["category", "feature", "name_of", "named", "number", "target", "text", "texts"]


def number(name: str, values: Array) -> tuple[Field, Array]:
    """Return numbers as a float32 field with the range observed; NaN stays NaN.

    A vector's range is left open: its values may be of different kinds.
    """
    with np.errstate(over="ignore"):
        column = np.ascontiguousarray(values, dtype=np.float32)
    finite = column if np.isfinite(column).all() else column[np.isfinite(column)]
    known = finite.size and column.ndim != 2
    span = (float(finite.min()), float(finite.max())) if known else None
    return Field(name, "float32", column.shape[1:], span), column


def text(name: str, values: Array) -> tuple[Field, Array]:
    """Return texts as a field with the distinct texts, sorted, as its categories."""
    found, codes = np.unique(values, return_inverse=True)
    return texts(name, found.tolist(), codes.reshape(values.shape))


def texts(name: str, categories: Sequence[str], codes: Array) -> tuple[Field, Array]:
    """Return codes of texts as a field of text whose rows share the categories' strings.

    An array of text of one width would take the longest text's bytes for every row.
    """
    named = np.empty(len(categories), object)
    named[:] = categories
    return Field(name, "str", codes.shape[1:], categories=tuple(categories)), named[codes]


def category(name: str, codes: Array, values: Sequence[Any] | Array) -> tuple[Field, Array]:
    """Return codes as an int64 field whose categories are the names of ``values``."""
    categories = tuple(name_of(value) for value in values)
    column = np.ascontiguousarray(codes, dtype=np.int64)
    return Field(name, "int64", column.shape[1:], categories=categories), column


def named(name: str, values: Array) -> tuple[Field, Array]:
    """Return an array as the names of its values, however they are stored."""
    found, codes = np.unique(values, return_inverse=True)
    return texts(name, [name_of(value) for value in found.tolist()], codes.reshape(values.shape))


def feature(name: str, values: Array) -> tuple[Field, Array]:
    """Return an array as text or as numbers.

    Raises:
        DataError: It holds neither.
    """
    if values.dtype.kind == "U":
        return text(name, values)
    if values.dtype.kind in "fiub":
        return number(name, values)
    raise DataError(f"array '{name}' holds {values.dtype}, neither numbers nor text")


def target(name: str, values: Array) -> tuple[Field, Array]:
    """Return what is to be predicted: fractions as numbers, anything else as classes.

    Raises:
        DataError: It holds neither.
    """
    if values.dtype.kind == "f" or values.dtype.kind not in "iubU":
        return feature(name, values)
    found, codes = np.unique(values, return_inverse=True)
    return category(name, codes.reshape(values.shape), found)
