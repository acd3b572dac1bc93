"""Fields from the columns of a pandas frame."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from aeros_core.arrays import Array
from aeros_core.errors import ConfigError, DataError
from aeros_core.fields.categories import name_of
from aeros_core.schema import Field
from aeros_transforms.options import override
from aeros_transforms.sources import encode

__all__ = [
    "Encoded",
    "category",
    "feature",
    "fractional",
    "like",
    "named",
    "number",
    "numeric",
]

Encoded: TypeAlias = tuple[Field, Array]


def numeric(values: Any) -> bool:
    """Tell whether a column holds numbers or booleans."""
    return bool(pd.api.types.is_numeric_dtype(values))


def fractional(values: Any) -> bool:
    """Tell whether a column holds floating-point numbers."""
    return bool(pd.api.types.is_float_dtype(values))


def number(values: Any) -> Encoded:
    """Return a column of numbers as float32; missing values become NaN."""
    if isinstance(values.dtype, np.dtype):  # the short way: a table may have 16,000 of them
        return encode.number(str(values.name), values.to_numpy().astype(np.float64, copy=False))
    return encode.number(str(values.name), values.to_numpy(dtype=np.float64, na_value=np.nan))


def category(values: Any) -> Encoded:
    """Return a column as int64 codes of its distinct values, sorted.

    Raises:
        ConfigError: It holds neither numbers nor text.
        DataError: Values are missing.
    """
    codes, found = _factorize(values)
    return encode.category(str(values.name), codes, found)


def feature(values: Any) -> Encoded:
    """Return a column as numbers or as text.

    Raises:
        ConfigError: It holds neither.
        DataError: Texts are missing.
    """
    if numeric(values):
        return number(values)
    codes, found = _factorize(values)
    return encode.texts(str(values.name), [str(value) for value in found], codes)


def named(values: Any) -> Encoded:
    """Return a column as the names of its values: 3 for 3.0, and True for a boolean.

    Raises:
        ConfigError: It holds neither numbers nor text.
        DataError: Values are missing.
    """
    codes, found = _factorize(values)
    return encode.texts(str(values.name), [name_of(value) for value in found], codes)


def like(values: Any, other: Any) -> Any:
    """Return a column in the kind of another one of the same meaning: numbers, texts, booleans.

    Raises:
        DataError: It holds texts that are no numbers, and the other one numbers.
    """
    if pd.api.types.is_bool_dtype(other) and numeric(values) and values.isin([0, 1]).all():
        return values.astype(bool)
    if numeric(other) and pd.api.types.is_bool_dtype(values):
        return values.astype(int)
    if numeric(other) and not numeric(values):
        try:
            return pd.to_numeric(values)
        except (ValueError, TypeError) as error:
            raise DataError(
                f"column '{values.name}' of the test file holds text, and numbers in the other",
                hint=override("transformer.table.drop", str(values.name)),
            ) from error
    if numeric(values) and not numeric(other) and not isinstance(other.dtype, pd.CategoricalDtype):
        return values.map(name_of, na_action="ignore")
    return values


def _factorize(values: Any) -> tuple[Array, list[Any]]:
    """Return the codes and the distinct values of a column, sorted."""
    name = values.name
    plain = _plain(values)
    if not numeric(plain) and pd.api.types.infer_dtype(plain) not in ("string", "boolean", "empty"):
        raise ConfigError(
            f"column '{name}' holds {pd.api.types.infer_dtype(plain)} values,"
            " neither numbers nor text",
            hint=override("transformer.table.drop", str(name)),
        )
    if missing := int(plain.isna().sum()):
        raise DataError(
            f"column '{name}' lacks {missing} of {len(plain)} values,"
            f" first in row {int(np.argmax(plain.isna()))}",
            hint="transformer.table.drop_missing=true leaves such rows out",
        )
    codes, found = pd.factorize(plain, sort=True)
    return codes, np.asarray(found).tolist()


def _plain(values: Any) -> Any:
    """Return a column of categories as what these are; rows of text share their strings."""
    if not isinstance(values.dtype, pd.CategoricalDtype):
        return values
    categories = values.dtype.categories
    return values.astype(categories.dtype if numeric(categories) else object)
