import numpy as np
import pytest

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError, DataError
from aeros_core.schema import Field, Schema
from aeros_transforms.partitioners.by_group import ByGroup


def data(values, **options):
    column = np.array(values)
    dtype = "str" if column.dtype.kind == "U" else column.dtype.name
    schema = Schema((Field("site", dtype, **options), Field("y", "float32")), "y")
    return Dataset(schema, {"site": column, "y": np.zeros(len(values), np.float32)})


def cut(given, **options):
    partitioner = ByGroup(**{"column": "site", "min_examples": 1, **options})
    partition = partitioner.partition(given, np.random.default_rng(0))
    return {partition.name(i): partition[i].tolist() for i in range(len(partition))}


@pytest.mark.parametrize(
    ("given", "clients"),
    [
        (data(["b", "a", "b"]), {"a": [1], "b": [0, 2]}),
        (data([17, 9, 17]), {"9": [1], "17": [0, 2]}),
        (data([2.0, 0.5, 2.0]), {"0.5": [1], "2": [0, 2]}),
        (data([1, 0, 1], categories=("east", "west", "none")), {"east": [1], "west": [0, 2]}),
    ],
)
def test_each_value_is_a_client_of_its_name(given, clients):
    assert cut(given) == clients


def test_rows_are_counted_within_the_data():
    assert cut(data(["b", "a", "b", "a"]).take(np.array([3, 0, 1]))) == {"a": [0, 2], "b": [1]}


def test_small_groups_are_left_out():
    assert cut(data(["b", "a", "b"]), min_examples=2) == {"b": [0, 2]}


def test_column_is_dropped():
    partitioner = ByGroup(column="site", min_examples=1)
    assert partitioner.output_schema(data(["a"]).schema).names == ("y",)


def test_column_is_not_set():
    with pytest.raises(ConfigError) as caught:
        ByGroup(column="", min_examples=1)
    assert str(caught.value) == (
        "transformer.by_group.column is not set\n"
        "  next: transformer.by_group.column=<field whose values are the clients>"
    )


def test_column_that_does_not_exist():
    with pytest.raises(ConfigError) as caught:
        cut(data(["a"]), column="sites")
    assert str(caught.value) == (
        "transformer.by_group.column=sites is not in the data\n"
        "  exists: site, y\n  next: transformer.by_group.column=site"
    )


def test_column_that_cannot_name_clients():
    with pytest.raises(ConfigError) as caught:
        cut(data(["a"]), column="y")
    assert str(caught.value) == (
        "transformer.by_group.column=y is to be predicted: it cannot name clients"
    )
    with pytest.raises(ConfigError) as caught:
        cut(data(["a"], shape=(2,)))
    assert str(caught.value) == (
        "transformer.by_group.column=site is an array: it cannot name clients\n"
        "  next: put by_group before the step that made it one"
    )


def test_no_group_is_large_enough():
    with pytest.raises(ConfigError) as caught:
        cut(data(["b", "a", "b"]), min_examples=3)
    assert str(caught.value) == (
        "transformer.by_group.min_examples=3 leaves no client\n"
        "  exists: 2 values of 'site' with at most 2 examples\n"
        "  next: transformer.by_group.min_examples=2"
    )


def test_rows_that_belong_to_no_client():
    with pytest.raises(DataError) as caught:
        cut(data([1.0, np.nan]))
    assert str(caught.value) == "field 'site' holds NaN: such rows belong to no client"
