import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError
from aeros_core.schema import Field, Schema
from aeros_transforms.partitioners import allocation


@given(st.lists(st.integers(0, 4), max_size=50))
def test_partition_lists_each_owners_rows_in_order(owner):
    partition = allocation.partition(np.array(owner, dtype=np.int64), 5)
    found = [partition[client].tolist() for client in range(5)]
    assert found == [[i for i, o in enumerate(owner) if o == client] for client in range(5)]


@given(st.integers(0, 100), st.integers(1, 20))
def test_cut_is_even_and_in_order(rows, parts):
    sizes = np.bincount(allocation.cut(rows, parts), minlength=parts)
    assert sizes.sum() == rows
    assert sizes.max() - sizes.min() <= 1
    assert (np.diff(allocation.cut(rows, parts)) >= 0).all()


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=20), st.integers(0, 1000))
def test_apportion_rounds_every_share(weights, rows):
    shares = np.array(weights) / sum(weights)
    sizes = allocation.apportion(shares, rows)
    assert sizes.sum() == rows
    assert (np.abs(sizes - shares * rows) <= 1 + 1e-6).all()


@given(st.lists(st.integers(0, 5), min_size=12, max_size=60), st.integers(1, 2), st.integers(0, 9))
def test_repair_moves_as_little_as_it_can(owner, least, seed):
    before = np.array(owner, dtype=np.int64)
    after = allocation.repair(before, 6, least, np.random.default_rng(seed))
    sizes, repaired = np.bincount(before, minlength=6), np.bincount(after, minlength=6)
    lacking = sizes < least
    assert (repaired[lacking] == least).all()
    assert (after != before).sum() == np.maximum(least - sizes, 0).sum()
    gave = repaired < sizes
    if gave.any():  # all donors end on one level, and nobody above it gave nothing
        assert repaired[gave].max() - repaired[gave].min() <= 1
        assert repaired.max() <= repaired[gave].max() + 1


def test_repair_changes_nothing_where_nobody_lacks():
    owner = np.array([0, 1, 1])
    assert allocation.repair(owner, 2, 1, np.random.default_rng(0)) is owner


def data(rows, schema=None):
    return Dataset(schema or Schema((Field("x", "float32"),)), {"x": np.zeros((rows, 2))})


@pytest.mark.parametrize(
    ("clients", "least", "text"),
    [
        (
            6,
            1,
            "t.clients=6 needs 6 examples: a client would be left with none\n"
            "  exists: 5 examples\n  next: t.clients=5",
        ),
        (
            3,
            2,
            "t.clients=3 of at least 2 examples each needs 6 examples: a client would be left"
            " with fewer\n  exists: 5 examples\n  next: t.clients=2",
        ),
        (
            1,
            6,
            "t.clients=1 of at least 6 examples each needs 6 examples: a client would be left"
            " with fewer\n  exists: 5 examples\n  next: load more data",
        ),
    ],
)
def test_too_few_examples(clients, least, text):
    with pytest.raises(ConfigError) as caught:
        allocation.enough("t", data(5), clients, least)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (Schema((Field("x", "float32"),)), "there is none"),
        (Schema((Field("x", "float32", (2,)),), "x"), "'x' is an array"),
    ],
)
def test_no_label_to_sort_by(schema, why):
    with pytest.raises(ConfigError) as caught:
        allocation.labels("transformer.shards", data(5, schema))
    assert str(caught.value) == (
        f"transformer.shards sorts examples by their target, and {why}\n"
        "  next: transformer=[<source>,iid]"
    )
