import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.data import Dataset, Partition
from aeros_core.errors import DataError
from aeros_core.schema import Field, Schema

SCHEMA = Schema((Field("x", "float32", (2,)), Field("y", "int64")), target="y")


def table(rows):
    return Dataset(
        SCHEMA,
        {"x": np.arange(2 * rows, dtype="float32").reshape(rows, 2), "y": np.arange(rows)},
    )


def test_a_data_set_is_the_whole_table_without_rows():
    data = table(5)
    assert len(data) == 5
    assert data.batch() is data.columns
    assert len(Dataset(Schema(()), {})) == 0


def test_taking_rows_copies_nothing_until_a_batch_is_asked_for():
    data = table(5)
    taken = data.take(np.array([4, 0]))
    assert len(taken) == 2
    assert taken.columns is data.columns
    assert taken.batch()["y"].tolist() == [4, 0]
    assert taken.batch()["x"].tolist() == [[8, 9], [0, 1]]


@given(st.data())
def test_rows_are_counted_within_what_they_are_taken_from(data):
    rows = data.draw(st.integers(1, 20))
    first = data.draw(st.lists(st.integers(0, rows - 1), min_size=1))
    second = data.draw(st.lists(st.integers(0, len(first) - 1)))
    taken = table(rows).take(np.array(first, dtype=np.int64)).take(np.array(second, dtype=np.int64))
    assert taken.batch()["y"].tolist() == [first[i] for i in second]


def test_finite_data_pass():
    data = table(5)
    assert data.check() is data
    assert table(0).check().batch()["y"].tolist() == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_told_with_field_count_and_row(bad):
    data = table(6)
    data.columns["x"][2, 1] = bad
    data.columns["x"][5, :] = bad
    with pytest.raises(DataError) as refused:
        data.check()
    assert str(refused.value) == (
        "field 'x' holds NaN or infinity in 2 of 6 rows, first in row 2\n  next: clean the file,"
        " or drop such rows where the data is loaded (transformer.<source>.drop_missing=true)"
    )


def test_a_partition_is_rows_cut_at_offsets():
    parts = Partition(np.array([5, 3, 1, 0]), np.array([0, 3, 3, 4]))
    assert len(parts) == 3
    assert [parts[i].tolist() for i in range(3)] == [[5, 3, 1], [], [0]]
    assert parts.sizes.tolist() == [3, 0, 1]
    assert [parts.name(i) for i in range(3)] == ["client-0", "client-1", "client-2"]


def test_clients_may_have_names_of_their_own():
    parts = Partition(np.arange(2), np.array([0, 1, 2]), ("Madrid", "Warszawa"))
    assert parts.name(1) == "Warszawa"


def test_a_partitions_rows_are_views():
    parts = Partition(np.arange(4), np.array([0, 2, 4]))
    assert np.shares_memory(parts[1], parts.rows)
