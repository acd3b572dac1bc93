"""The steps that choose fields and cut values: select, drop, clip."""

import numpy as np
import pytest

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError
from aeros_core.schema import Field, Schema
from aeros_core.testing import TransformerTests
from aeros_transforms.steps.clip import Clip
from aeros_transforms.steps.drop import Drop
from aeros_transforms.steps.select import Select


def table():
    schema = Schema(
        (
            Field("a", "float32", (), (0.0, 9.0), "V"),
            Field("b", "float64", (2,)),
            Field("site", "str", categories=("p", "q")),
            Field("y", "float32"),
        ),
        "y",
    )
    columns = {
        "a": np.arange(10, dtype=np.float32),
        "b": np.linspace(-5, 5, 20).reshape(10, 2),
        "site": np.array(["p", "q"] * 5),
        "y": np.arange(10, dtype=np.float32),
    }
    return Dataset(schema, columns)


class Cases(TransformerTests):
    def example(self):
        return table()


class TestSelect(Cases):
    def make(self):
        return Select(fields=["site", "a"])


class TestDrop(Cases):
    def make(self):
        return Drop(fields=["site", "a"])


class TestClip(Cases):
    def make(self):
        return Clip(low=0.1, high=2.3, fields=[])


class TestClipBelow(Cases):
    def make(self):
        return Clip(low=None, high=2.3, fields=["y", "b"])


def test_select_keeps_order_and_target():
    assert Select(fields=["site", "a"]).output_schema(table().schema).names == ("site", "a", "y")


def test_drop_leaves_fields_out():
    schema = Drop(fields=["site", "a"]).output_schema(table().schema)
    assert (schema.names, schema.target) == (("b", "y"), "y")


@pytest.mark.parametrize("make", [Select, Drop])
def test_no_field_is_named(make):
    with pytest.raises(ConfigError) as caught:
        make(fields=[])
    name = make.__name__.lower()
    assert str(caught.value) == (
        f"transformer.{name}.fields is empty\n  next: transformer.{name}.fields=[<field>,…]"
    )


@pytest.mark.parametrize("make", [Select, Drop])
def test_field_that_does_not_exist(make):
    with pytest.raises(ConfigError) as caught:
        make(fields=["sight"]).output_schema(table().schema)
    name = make.__name__.lower()
    assert str(caught.value) == (
        f"transformer.{name}.fields=sight is not in the data\n"
        f"  exists: a, b, site, y\n  next: transformer.{name}.fields=site"
    )


def test_target_cannot_be_dropped():
    with pytest.raises(ConfigError) as caught:
        Drop(fields=["y"]).output_schema(table().schema)
    assert str(caught.value) == "transformer.drop.fields=y: the field is to be predicted"


@pytest.mark.parametrize(
    ("low", "high", "a", "b"),
    [
        (None, 2.0, (0.0, 2.0), None),
        (-1.0, None, (0.0, 9.0), None),
        (3.0, 4.0, (3.0, 4.0), (3.0, 4.0)),
        (20.0, 30.0, (20.0, 20.0), (20.0, 30.0)),
    ],
)
def test_clip_cuts_ranges_and_values(low, high, a, b):
    step = Clip(low=low, high=high, fields=[])
    schema = step.output_schema(table().schema)
    assert schema["a"] == Field("a", "float32", (), a, "V")
    assert schema["b"] == Field("b", "float32", (2,), b)
    found = step.transform(table().batch())
    for name in ("a", "b"):
        wanted = np.clip(table().columns[name].astype(np.float32), low, high)
        np.testing.assert_array_equal(found[name], wanted)
    assert found["y"].max() == 9


def test_clip_leaves_nan():
    step = Clip(low=0.0, high=1.0, fields=["a"])
    step.output_schema(table().schema)
    found = step.transform({"a": np.array([np.nan, 5], np.float32)})["a"]
    np.testing.assert_array_equal(found, np.array([np.nan, 1], np.float32))


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (None, None, "transformer.clip has no limit\n  next: transformer.clip.high=<number>"),
        (2.0, 1.0, "transformer.clip.low=2.0 is above transformer.clip.high=1.0"),
    ],
)
def test_clip_limits(low, high, text):
    with pytest.raises(ConfigError) as caught:
        Clip(low=low, high=high, fields=[])
    assert str(caught.value) == text
