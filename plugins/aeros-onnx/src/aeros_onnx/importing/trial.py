"""Try a graph from elsewhere before it is stored: whether it computes, and what its rows are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aeros_core.arrays import Array
from aeros_core.errors import AerosError, ConfigError
from aeros_core.schema import Field
from aeros_onnx.comparison import ATOL, RTOL
from aeros_onnx.importing.signature import WHOLE
from aeros_onnx.session import OnnxSession

__all__ = ["Tried", "try_rows"]

SECONDS = 60.0
"""How long a few rows may take."""

_SEVERAL, _MANY = 3, (64, 1024)
"""Rows that a graph of any number is tried with."""

_FREE = (4, 1, 16, 64)
"""Lengths that a dimension without one is tried with."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What a graph did with a few rows.

    Args:
        rows: How many it takes at a time: as stated, or 1 where a graph that states any number
            computes one row and not several; None: any.
        ranks: Numbers of dimensions of its outputs, by name.
    """

    rows: int | None
    ranks: Mapping[str, int]


def try_rows(running: OnnxSession, fields: Sequence[Field]) -> Tried:
    """Compute a few drawn rows.

    Args:
        running: The graph.
        fields: What it takes.

    Raises:
        ConfigError: It computes no row, or what it gives has not these rows.
    """
    rows = running.fixed_rows
    several = (_SEVERAL, 1, *_MANY)
    columns, outputs = _first_that_runs(running, fields, several if rows is None else (rows,))
    computed = len(next(iter(columns.values())))
    _check_scalars(outputs)
    if rows is None and computed == 1:
        rows = 1
    if rows is not None:
        _check_rows(outputs, rows)
    if rows is not None and rows > 1:
        _check_independent(running, fields, columns, outputs)
    return Tried(rows, {name: output.ndim for name, output in outputs.items()})


def _first_that_runs(
    running: OnnxSession, fields: Sequence[Field], numbers: Sequence[int]
) -> tuple[Mapping[str, Array], Mapping[str, Array]]:
    """Return the first drawn rows that the graph computes, and its outputs."""
    rng = np.random.default_rng(0)
    is_open = any(None in field.shape for field in fields)
    why: Exception | None = None
    for rows in numbers:
        for free in _FREE if is_open else (1,):
            for draw in (_drawn, _zeros, _ones):
                columns = {field.name: draw(field, rows, free, rng) for field in fields}
                try:
                    return columns, running(columns, seconds=SECONDS)
                except (AerosError, MemoryError) as error:
                    why = why or error
    told = why.asked if isinstance(why, AerosError) else f"out of memory: {why}"
    raise ConfigError(
        f"the graph computes no row that is drawn by its inputs: {told}",
        exists="; ".join(map(str, fields)),
        hint=f"run it in onnxruntime to see why; if its first dimensions are no rows, {WHOLE}",
    ) from why


def _drawn(field: Field, rows: int, free: int, rng: np.random.Generator) -> Array:
    shape = _shape(field, rows, free)
    if field.dtype == "str":
        return np.array(["a", "b"], dtype=object)[rng.integers(0, 2, shape)]
    dtype = np.dtype(field.dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)


def _zeros(field: Field, rows: int, free: int, rng: np.random.Generator) -> Array:  # noqa: ARG001
    shape = _shape(field, rows, free)
    if field.dtype == "str":
        return np.full(shape, "", dtype=object)
    return np.zeros(shape, field.dtype)


def _ones(field: Field, rows: int, free: int, rng: np.random.Generator) -> Array:
    column = _zeros(field, rows, free, rng)
    return column if field.dtype == "str" else column + np.ones((), column.dtype)


def _shape(field: Field, rows: int, free: int) -> tuple[int, ...]:
    return (rows, *(free if length is None else length for length in field.shape))


def _check_scalars(outputs: Mapping[str, Array]) -> None:
    for name, output in outputs.items():
        if not np.ndim(output):
            raise ConfigError(
                f"output '{name}' of the graph is a scalar, one value for all rows", hint=WHOLE
            )


def _check_rows(outputs: Mapping[str, Array], rows: int) -> None:
    for name, output in outputs.items():
        if len(output) != rows:
            raise ConfigError(
                f"output '{name}' of the graph is of shape {output.shape} for {rows} rows: its"
                " first dimension is no number of rows",
                hint=WHOLE,
            )


def _check_independent(
    running: OnnxSession,
    fields: Sequence[Field],
    columns: Mapping[str, Array],
    outputs: Mapping[str, Array],
) -> None:
    """Refuse a fixed number of rows of which each depends on the others."""
    last = {name: np.repeat(column[-1:], len(column), axis=0) for name, column in columns.items()}
    for name, output in running(last, seconds=SECONDS).items():
        if not _same(output[-1:], outputs[name][-1:]):
            raise ConfigError(
                f"output '{name}' of the graph depends on all {len(output)} rows of"
                f" {', '.join(repr(field.name) for field in fields)}: they are one example",
                hint=WHOLE,
            )


def _same(one: Array, other: Array) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind != "f":
        return bool((one == other).all())
    here, there = one.astype(np.float64), other.astype(np.float64)
    tolerance = max(RTOL, 1e-2) if one.dtype.itemsize == 2 else RTOL
    return bool(np.allclose(here, there, rtol=tolerance, atol=ATOL, equal_nan=True))
