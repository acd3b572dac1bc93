"""Whether two ways to compute one model agree, on rows that were kept and on drawn ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.errors import DataError
from aeros_core.models.formats import Compared
from aeros_core.schema import Field, Schema

__all__ = ["ATOL", "RTOL", "compare", "drawn"]

RTOL, ATOL = 1e-3, 1e-5
"""How far numbers may be apart that were added in another order."""

ROWS = (33, 1)
"""Rows of the batches that are drawn: several, and one alone."""


def compare(
    name: str,
    schema: Schema,
    one: Callable[[Batch], Batch],
    other: Callable[[Batch], Batch],
    stored: Batch | None = None,
) -> Compared:
    """Compare what two answer to the same batches.

    Args:
        name: Name of the model.
        schema: Of its data.
        one: Answers in one way.
        other: Answers in the other.
        stored: Rows that were kept with the model; they are compared before drawn ones.

    Raises:
        DataError: They differ by more than the order of adding explains.
    """
    largest = 0.0
    for kind, batch in _batches(schema, stored or {}):
        here, there = one(batch), other(batch)
        if set(here) != set(there):
            raise _apart(name, f"{sorted(here)} and {sorted(there)} are answered")
        apart = [_difference(name, key, here, there, kind) for key in here]
        largest = max(largest, *apart)
    rows = next((len(column) for column in (stored or {}).values()), 0)
    return Compared(rows, sum(ROWS), largest)


def _batches(schema: Schema, stored: Batch) -> Iterator[tuple[str, Batch]]:
    if stored:
        yield "stored", {field.name: stored[field.name] for field in schema.features}
    rng = np.random.default_rng(0)
    for rows in ROWS:
        yield "drawn", drawn(schema, rows, rng)


def drawn(schema: Schema, rows: int, rng: np.random.Generator) -> Batch:
    """Return examples of a schema: numbers within their range, codes of every category.

    A length that the schema leaves open is 4.
    """
    return {field.name: _column(field, rows, rng) for field in schema.features}


def _column(field: Field, rows: int, rng: np.random.Generator) -> Array:
    shape = (rows, *(4 if length is None else length for length in field.shape))
    if field.dtype == "str":
        words = field.categories or ("a", "b")
        return np.array(words, dtype=object)[rng.integers(0, len(words), shape)]
    dtype = np.dtype(field.dtype)
    if dtype.kind == "f" and field.range is None:
        return rng.standard_normal(shape).astype(dtype)
    low, high = field.range or (0, len(field.categories) - 1 if field.categories else 1)
    if dtype.kind == "f":
        return rng.uniform(low, high, shape).astype(dtype)
    return rng.integers(int(low), int(high) + 1, shape).astype(dtype)


def _difference(name: str, key: str, here: Batch, there: Batch, kind: str) -> float:
    one, other = np.asarray(here[key]), np.asarray(there[key])
    if one.shape != other.shape:
        raise _apart(name, f"'{key}' is of shape {one.shape} and {other.shape}")
    if one.dtype.kind == "f":
        apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
        if not (apart <= ATOL + RTOL * np.abs(other)).all():
            raise _apart(name, f"'{key}' by {np.nanmax(apart, initial=0.0):.3g} on {kind} rows")
        return float(apart.max(initial=0.0))
    unequal = one != other
    if unequal.any() and not _close_calls(unequal, here):
        raise _apart(name, f"'{key}' in {int(unequal.sum())} of {unequal.size} {kind} rows")
    return 0.0


def _close_calls(unequal: Array, batch: Mapping[str, Array]) -> bool:
    """Whether rows with another label have two scores that are nearly the same."""
    scores = batch.get("scores")
    if scores is None or scores.ndim != 2 or scores.shape[1] < 2 or unequal.ndim != 1:
        return False
    two = np.sort(scores[unequal], axis=1)[:, -2:]
    return bool((two[:, 1] - two[:, 0] <= ATOL + RTOL * two[:, 1]).all())


def _apart(name: str, how: str) -> DataError:
    return DataError(
        f"the graph does not answer as the model '{name}' does: they differ, {how}",
        hint="nothing was written; report it with the model's module",
    )
