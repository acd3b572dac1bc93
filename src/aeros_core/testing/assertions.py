"""What the contracts of sources, steps and partitioners compare."""

from __future__ import annotations

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.messages import State
from aeros_core.schema import Field, Schema

__all__ = ["assert_agrees", "assert_close", "assert_same", "assert_state"]


def assert_state(state: State) -> None:
    """Check that a state is vectors and scalars by name."""
    for name, value in state.items():
        assert isinstance(name, str)
        if not isinstance(value, float | int | str):
            assert np.asarray(value).ndim == 1, f"{name} is no vector: states are kept flat"
            assert np.asarray(value).dtype.kind in "fiub", f"{name} holds no numbers"


def assert_same(here: Batch, there: Batch) -> None:
    """Check that two batches hold the same bits."""
    assert set(here) == set(there)
    for name, column in here.items():
        assert column.dtype == there[name].dtype
        np.testing.assert_array_equal(column, there[name], err_msg=name)


def assert_close(here: Batch, there: Batch) -> None:
    """Compare batches; numbers of float kind to the precision of another order of adding."""
    assert set(here) == set(there)
    for name, column in here.items():
        if column.dtype.kind == "f":
            np.testing.assert_allclose(column, there[name], rtol=1e-5, atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(column, there[name], err_msg=name)


def assert_agrees(batch: Batch, schema: Schema) -> None:
    """Check that a batch holds what a schema says."""
    assert set(batch) == set(schema.names)
    assert len({len(column) for column in batch.values()}) <= 1, "columns differ in length"
    assert schema.target is None or schema.target in batch
    for field in schema.fields:
        _assert_field(batch[field.name], field)


def _assert_field(column: Array, field: Field) -> None:
    text = column.dtype.kind == "U" or all(isinstance(value, str) for value in column.ravel())
    dtype = "str" if text and column.dtype.kind in "UO" else column.dtype.name
    assert dtype == field.dtype, f"{field.name} holds {dtype}, not {field.dtype}"
    assert column.shape[1:] == field.shape, f"{field.name} has the shape {column.shape[1:]}"
    if field.range is not None:
        finite = column[np.isfinite(column)]
        low, high = np.array(field.range, dtype=column.dtype)
        assert ((finite >= low) & (finite <= high)).all(), f"{field.name} leaves its range"
    if field.categories is None:
        return
    if dtype == "str":
        assert np.isin(column, field.categories).all(), f"{field.name} leaves its categories"
    else:
        assert ((column >= 0) & (column < len(field.categories))).all(), f"{field.name}: no class"
