import gc
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.data import Dataset
from aeros_core.errors import DataError
from aeros_core.schema import Field, Schema
from aeros_torch.training import batches
from aeros_torch.training.batches import Batches, DeviceColumns

CPU = torch.device("cpu")
SCHEMA = Schema((Field("x", "float32", (2,)), Field("y", "int64", categories=("a",))), "y")


def numbered(count, rows=None):
    """Data whose target is the number of the row."""
    x = np.repeat(np.arange(count, dtype=np.float32)[:, None], 2, axis=1)
    return Dataset(SCHEMA, {"x": x, "y": np.arange(count)}, rows)


def feed(keep=False, **changes):
    return Batches(
        **{"feature": "x", "target": "y", "outputs": None} | changes,
        resident=DeviceColumns(CPU, keep=keep),
    )


def listed(made):
    pairs = list(made)
    assert all((x[:, 0] == y).all() for x, y in pairs)
    return [y.tolist() for _, y in pairs]


def parts(made, data, size):
    return listed(made.part(data, start, size) for start in range(0, len(data), size))


@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 3), st.integers(0, 99), st.booleans())
def test_an_epoch_is_numpys_next_permutation_cut_in_batches(count, size, epochs, seed, keep):
    rng = np.random.default_rng(seed)
    expected = []
    for _ in range(epochs):
        order = rng.permutation(count)
        expected += [order[start : start + size].tolist() for start in range(0, count, size)]
    made = feed(keep).shuffled(numbered(count), size=size, seed=seed, epochs=epochs, steps=None)
    assert listed(made) == expected


@given(st.integers(2, 60), st.integers(1, 12))
def test_batches_of_at_least_two_lose_nothing(count, size):
    made = listed(
        feed(smallest=2).shuffled(numbered(count), size=size, seed=0, epochs=1, steps=None)
    )
    assert sorted(chain.from_iterable(made)) == list(range(count))
    assert all(len(batch) >= min(2, size) for batch in made)


def test_batches_of_one_are_kept_where_asked_for_by_size():
    """A batch size of one is the user's word; what a BatchNorm says of it is torch's."""
    made = feed(smallest=2).shuffled(numbered(3), size=1, seed=0, epochs=1, steps=None)
    assert [len(batch) for batch in listed(made)] == [1, 1, 1]


def test_steps_go_on_over_epochs():
    made = listed(feed().shuffled(numbered(10), size=4, seed=3, epochs=1, steps=8))
    whole = listed(feed().shuffled(numbered(10), size=4, seed=3, epochs=3, steps=None))
    assert made == whole[:8]


def test_rows_of_a_client_alone():
    data = numbered(50, np.array([7, 3, 40, 8, 21]))
    made = listed(feed().shuffled(data, size=2, seed=0, epochs=1, steps=None))
    order = np.random.default_rng(0).permutation(5)
    assert list(chain.from_iterable(made)) == data.rows[order].tolist()
    assert parts(feed(), data, 2) == [[7, 3], [40, 8], [21]]


def test_in_order_without_rows():
    assert parts(feed(), numbered(5), 2) == [[0, 1], [2, 3], [4]]
    assert parts(feed(keep=True), numbered(5), 2) == [[0, 1], [2, 3], [4]]


def test_large_clients_are_gathered_in_parts(monkeypatch):
    whole = listed(feed().shuffled(numbered(50), size=8, seed=1, epochs=1, steps=None))
    monkeypatch.setattr(batches, "_GATHERED", 16)
    parts = listed(feed().shuffled(numbered(50), size=8, seed=1, epochs=1, steps=None))
    assert parts == whole


def test_too_few_examples_are_refused():
    with pytest.raises(DataError, match="the data hold 1 example, and BatchNorm needs 2") as caught:
        feed(smallest=2).shuffled(numbered(1), size=4, seed=0, epochs=1, steps=None)
    assert "next: give each client more examples" in str(caught.value)


@pytest.mark.parametrize("shape", [(), (2,)])
def test_numbers_become_float32_columns(shape):
    target = np.arange(6 * int(np.prod(shape))).reshape(6, *shape)
    schema = SCHEMA.with_field(Field("y", "int64", shape))
    data = Dataset(schema, {"x": np.zeros((6, 2), np.float32), "y": target})
    _, first = feed(outputs=int(np.prod(shape))).part(data, 0, 4)
    assert first.dtype == torch.float32
    np.testing.assert_array_equal(first, target[:4].reshape(4, -1))


def test_batches_never_write_to_the_data(tmp_path):
    """Arrays that are read-only, memory-mapped or strided are taken as they are."""
    data = numbered(9)
    np.save(tmp_path / "x.npy", data.columns["x"])
    for x in (
        np.load(tmp_path / "x.npy", mmap_mode="r"),
        np.asfortranarray(data.columns["x"]),
        data.columns["x"][::-1][::-1],
    ):
        x.setflags(write=False)
        other = Dataset(SCHEMA, {**data.columns, "x": x})
        assert parts(feed(), other, 4) == parts(feed(), data, 4)
        shuffled = feed().shuffled(other, size=4, seed=0, epochs=1, steps=None)
        for examples, _ in shuffled:
            examples.zero_()
        assert x[8, 0] == 8


def test_columns_stay_on_the_device_as_long_as_their_arrays_live():
    resident = DeviceColumns(CPU, keep=True)
    first, second = np.arange(5.0), np.arange(3.0)
    rows = np.array([4, 1])
    assert resident.take(first, rows).tolist() == [4.0, 1.0]
    resident.take(first, slice(0, 2))
    resident.take(second, rows[1:])
    assert len(resident) == 2
    del first
    gc.collect()
    assert len(resident) == 1
    assert resident.take(second, slice(1, 3)).tolist() == [1.0, 2.0]


def test_nothing_is_kept_on_the_host():
    resident = DeviceColumns(CPU, keep=False)
    resident.take(np.arange(5.0), slice(0, 2))
    assert len(resident) == 0
