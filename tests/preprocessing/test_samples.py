import numpy as np
import pytest

from aeros_core.data import Dataset
from aeros_core.preprocessing import samples
from aeros_core.schema import Field, Schema

SCHEMA = Schema((Field("x", "float32", (2,)), Field("y", "int64")), "y")


class Own:
    """A source that says nothing of who may have its rows."""


class Open:
    """A source of public data."""

    public = True


class Shut:
    """A source that says they are not."""

    public = False


def split(rows, width=2, dtype=np.float32):
    x = np.arange(rows * width).reshape(rows, width).astype(dtype)
    return Dataset(SCHEMA, {"x": x, "y": np.zeros(rows, np.int64)})


@pytest.mark.parametrize(
    ("number", "source", "rows"),
    [
        (None, Own(), 0),
        (None, Shut(), 0),
        (None, Open(), 16),
        (0, Open(), 0),
        (5, Own(), 5),
        (256, Own(), 100),
    ],
)
def test_rows_are_kept_of_public_data_or_if_they_are_asked_for(number, source, rows):
    found = samples.stored_rows(number, {"a": source, "b": Open()}, split(100))
    assert sum(map(len, found.values())) == rows
    assert set(found) == ({"x"} if rows else set())


def test_they_are_spread_over_the_split_and_owned():
    test = split(100)
    found = samples.stored_rows(3, {}, test)["x"]
    np.testing.assert_array_equal(found, test.columns["x"][[0, 49, 99]])
    assert not np.shares_memory(found, test.columns["x"])
    some = samples.stored_rows(2, {}, test.take(np.array([7, 8, 9])))["x"]
    np.testing.assert_array_equal(some, test.columns["x"][[7, 9]])


def test_they_are_few_bytes():
    wide = split(9, samples.NBYTES // 4 // 3)
    assert len(samples.stored_rows(9, {}, wide)["x"]) == 3
    assert samples.stored_rows(9, {}, split(2, samples.NBYTES)) == {}


def test_nothing_is_kept_of_nothing():
    assert samples.stored_rows(9, {}, None) == {}
    assert samples.stored_rows(9, {}, split(0)) == {}
    assert samples.stored_rows(9, {}, split(3, dtype=object)) == {}
