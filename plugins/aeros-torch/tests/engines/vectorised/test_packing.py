"""Packs against `Batches.shuffled`, one client after the other."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.data import Dataset
from aeros_core.schema import Field, Schema
from aeros_torch.engines.vectorised.packing import Pack
from aeros_torch.training.batches import Batches, DeviceColumns

SCHEMA = Schema((Field("x", "float32", ()), Field("y", "int64", categories=("a",))), "y")
FEED = Batches("x", "y", None, DeviceColumns(torch.device("cpu"), keep=False))


def clients(sizes):
    """Clients of one table, whose targets are the numbers of the rows."""
    count = sum(sizes)
    table = Dataset(SCHEMA, {"x": np.zeros(count, np.float32), "y": np.arange(count)})
    mixed = np.random.default_rng(1).permutation(count)
    return [table.take(rows) for rows in np.split(mixed, np.cumsum(sizes)[:-1])]


def told(pack):
    """Return the batches of each place, as the spans tell them."""
    batches = [[] for _ in pack.order]
    for span in pack.spans():
        for rows, counts in zip(span.rows, span.counts, strict=True):
            for place in range(span.clients):
                batches[place].append(rows[place, : counts[place]].tolist())
                assert (rows[place, counts[place] :] == rows[place, 0]).all()
    return batches


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    size=st.integers(1, 12),
    epochs=st.integers(1, 3),
    steps=st.none() | st.integers(1, 30),
)
def test_same_batches_as_one_client_after_the_other(sizes, size, epochs, steps):
    data = clients(sizes)
    seeds = list(range(50, 50 + len(sizes)))
    pack = Pack(data, seeds, size=size, epochs=epochs, steps=steps)
    batches = told(pack)
    for place, client in enumerate(pack.order):
        expected = [
            y.tolist()
            for _, y in FEED.shuffled(
                data[client], size=size, seed=seeds[client], epochs=epochs, steps=steps
            )
        ]
        assert batches[place] == expected
        assert pack.steps[place] == len(expected)
        assert pack.seen[place] == sum(map(len, expected))
    assert (np.diff(pack.steps) <= 0).all()


def test_a_large_and_a_small_client_take_little_room():
    data = clients([100_000, 3])
    pack = Pack(data, [1, 2], size=10, epochs=1, steps=None)
    spans = list(pack.spans())
    assert [span.clients for span in spans[:3]] == [2, 1, 1]
    assert max(span.rows.size for span in spans) <= 640
    assert sum(len(span.counts) for span in spans) == 10_000


def test_clients_with_the_whole_table():
    table = Dataset(SCHEMA, {"x": np.zeros(7, np.float32), "y": np.arange(7)})
    pack = Pack([table, table], [3, 4], size=4, epochs=1, steps=None)
    for place, batches in enumerate(told(pack)):
        order = np.random.default_rng(3 + place).permutation(7).tolist()
        assert batches == [order[:4], order[4:]]
