import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError, DataError
from aeros_core.schema import Field, Schema
from aeros_core.testing import TransformerTests
from aeros_transforms.steps.window import Window


def series(engines):
    rows = np.arange(len(engines))
    schema = Schema(
        (
            Field("sensor", "float32", (2,), (0.0, 999.0), "bar"),
            Field("engine", "str", categories=("a", "b", "c")),
            Field("left", "float32"),
        ),
        "left",
    )
    sensor = np.stack([rows, rows + 0.5], axis=1).astype(np.float32)
    columns = {"sensor": sensor, "engine": np.array(engines), "left": -rows.astype(np.float32)}
    return Dataset(schema, columns)


class TestWindow(TransformerTests):
    keeps_rows = False

    def make(self):
        return Window(size=3, stride=2, group="engine")

    def example(self):
        return series([*"aaaaabbbcc"])


class TestWindowWithoutGroup(TransformerTests):
    keeps_rows = False

    def make(self):
        return Window(size=4, stride=1, group=None)

    def example(self):
        return series([*"aaaaabbbcc"])


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.integers(1, 4), st.integers(1, 3)
)
def test_windows_never_cross_groups(engines, size, stride):
    data, step = series(engines), Window(size=size, stride=stride, group="engine")
    step.output_schema(data.schema)
    wanted, run = [], 0
    for row in range(len(engines)):
        run = row if row and engines[row] != engines[row - 1] else run
        if row - run >= size - 1 and (row - run - size + 1) % stride == 0:
            wanted.append(row)
    if not wanted:
        with pytest.raises(DataError, match="longer than any stretch"):
            step.transform(data.batch())
        return
    found = step.transform(data.batch())
    np.testing.assert_array_equal(found["left"], -np.array(wanted))
    assert found["engine"].tolist() == [engines[row] for row in wanted]
    rows = np.array(wanted)[:, None] + np.arange(1 - size, 1)
    np.testing.assert_array_equal(found["sensor"], data.columns["sensor"][rows])


def test_schema():
    data = series([*"aaab"])
    schema = Window(size=2, stride=1, group="engine").output_schema(data.schema)
    assert schema["sensor"] == Field("sensor", "float32", (2, 2), (0.0, 999.0), "bar")
    assert schema["engine"] == data.schema["engine"]
    assert schema["left"] == data.schema["left"]


@pytest.mark.parametrize(
    ("group", "text"),
    [
        ("engine", "transformer.window.size=3 is longer than any stretch of rows of one 'engine'"),
        (None, "transformer.window.size=3 is longer than any stretch of rows"),
    ],
)
def test_no_window(group, text):
    step, data = Window(size=3, stride=1, group=group), series([*"aa"])
    step.output_schema(data.schema)
    with pytest.raises(DataError) as caught:
        step.transform(data.batch())
    assert str(caught.value) == f"{text}\n  exists: 2 rows"


@pytest.mark.parametrize("option", ["size", "stride"])
def test_values_out_of_range(option):
    with pytest.raises(ConfigError) as caught:
        Window(**{"size": 1, "stride": 1, "group": None, option: 0})
    told = f"transformer.window.{option}=0".replace("=", f" must be {caught.value.exists}, got ", 1)
    assert caught.value.asked == told


def test_group_that_does_not_exist():
    with pytest.raises(ConfigError) as caught:
        Window(size=1, stride=1, group="engines").output_schema(series("a").schema)
    assert str(caught.value) == (
        "transformer.window.group=engines is not in the data\n"
        "  exists: sensor, engine, left\n  next: transformer.window.group=engine"
    )
