import gc

import numpy as np
import pytest

from aeros_core.data import Dataset
from aeros_core.errors import DataError
from aeros_core.schema import Field, Schema
from aeros_torch.engines.compiled.columns import Columns, writable


def table(x, y):
    return Dataset(Schema((Field("x", "float32"), Field("y", "float32")), "y"), {"x": x, "y": y})


def test_takes_columns_as_they_are():
    x, y = np.zeros((4, 2, 3), np.float32), np.array([0, 1, 1, 0])
    features, labels, values = Columns("x", "y", 2).of(table(x, y))
    assert np.shares_memory(features, x)
    assert np.shares_memory(labels, y)
    assert features.shape == (4, 6)
    assert values.shape == (0, 0)


def test_makes_others_once():
    x, y = np.ones((4, 6))[:, ::2], np.arange(4)
    columns = Columns("x", "y", None)
    features, labels, values = columns.of(table(x, y))
    assert (features.dtype, values.dtype, values.shape) == (np.float32, np.float32, (4, 1))
    assert features.flags.c_contiguous
    assert labels.shape == (0,)
    again = columns.of(table(x, y))
    assert np.shares_memory(again[0], features)
    assert np.shares_memory(again[2], values)


def test_forgets_tables_that_are_gone():
    columns = Columns("x", "y", None)
    for dtype in (np.float32, np.float64):
        columns.of(table(np.zeros((4, 2), dtype), np.zeros(4)))
        gc.collect()
    assert len(columns) == 0


@pytest.mark.parametrize("code", [-1, 2])
def test_code_of_no_class_is_refused(code):
    with pytest.raises(DataError, match=r"field 'y' holds codes from (-1 to 0|0 to 2)"):
        Columns("x", "y", 2).of(table(np.zeros((2, 1), np.float32), np.array([0, code])))


def test_writable_is_the_same_memory():
    array = np.arange(6.0).reshape(2, 3)
    assert writable(array) is array
    array.setflags(write=False)
    alias = writable(array)
    assert np.shares_memory(alias, array)
    assert alias.flags.writeable
    assert not array.flags.writeable
    np.testing.assert_array_equal(alias, array)
