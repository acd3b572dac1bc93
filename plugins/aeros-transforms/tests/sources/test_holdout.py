import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError
from aeros_core.schema import Field, Schema
from aeros_transforms.sources.holdout import Holdout


def data(codes, categories=("a", "b", "c")):
    schema = Schema((Field("row", "int64"), Field("y", "int64", categories=categories)), "y")
    return Dataset(schema, {"row": np.arange(len(codes)), "y": np.asarray(codes, np.int64)})


def rows(holdout, given, split):
    found = holdout.of(given, split)
    return [] if found is None else found.columns["row"].tolist()


@given(
    codes=st.lists(st.integers(0, 2), min_size=1, max_size=200),
    fraction=st.floats(0, 0.99),
    seed=st.integers(0, 2**32),
)
def test_splits_are_disjoint_complete_and_stratified(codes, fraction, seed):
    holdout, whole = Holdout("t", fraction, seed), data(codes)
    train, test = rows(holdout, whole, "train"), rows(holdout, whole, "test")
    assert sorted(train + test) == list(range(len(codes)))
    assert train == sorted(train)
    assert abs(len(test) - len(codes) * fraction) <= 1
    for code in range(3):
        share = sum(codes[row] == code for row in test)
        assert abs(share - codes.count(code) * fraction) <= 1 + 1e-9


def test_seed_decides():
    whole = data([0] * 50)
    first = rows(Holdout("t", 0.2, 0), whole, "test")
    assert rows(Holdout("t", 0.2, 0), whole, "test") == first
    assert rows(Holdout("t", 0.2, 1), whole, "test") != first


def test_fraction_of_zero_is_no_test_split():
    assert Holdout("t", 0.0, 0).of(data([0, 1]), "test") is None
    assert rows(Holdout("t", 0.0, 0), data([0, 1]), "train") == [0, 1]


def test_data_without_classes_are_split_too():
    schema = Schema((Field("row", "int64"), Field("y", "float32")), "y")
    numbers = Dataset(schema, {"row": np.arange(10), "y": np.zeros(10, np.float32)})
    assert len(rows(Holdout("t", 0.5, 0), numbers, "test")) == 5


@pytest.mark.parametrize(("fraction", "seed"), [(1.0, 0), (-0.5, 0), (0.2, -1)])
def test_values_out_of_range(fraction, seed):
    with pytest.raises(ConfigError, match=r"^transformer\.x\.\w+ must be .+, got "):
        Holdout("transformer.x", fraction, seed)
