"""Fitted values, kept flat, brought into the shape of a column."""

from __future__ import annotations

from math import prod

import numpy as np

from aeros_core.arrays import Array
from aeros_core.errors import DataError

__all__ = ["aligned"]


def aligned(name: str, values: Array, column: Array) -> Array:
    """Return fitted values as float32, to be broadcast over the rows of a column.

    Args:
        name: Name of the field.
        values: One value, or one for each feature; 1-D.
        column: The column, ``(rows, *shape)``.

    Raises:
        DataError: The column has another number of features.
    """
    shape = column.shape[1:]
    if values.size == 1:
        return values.reshape(()).astype(np.float32)
    if values.size != prod(shape):
        raise DataError(
            f"field '{name}' has {prod(shape)} values a row; the step was fitted to {values.size}"
        )
    return values.reshape(shape).astype(np.float32)
