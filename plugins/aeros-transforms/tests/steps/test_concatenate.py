import numpy as np
import pytest

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError
from aeros_core.schema import Field, Schema
from aeros_core.testing import TransformerTests
from aeros_transforms.steps.concatenate import Stack


def table(**changes):
    fields = {
        "a": Field("a", "float32", (), (0.0, 1.0)),
        "n": Field("n", "int64", (), (0.0, 1.0)),
        "y": Field("y", "int64", categories=("no", "yes")),
        "v": Field("v", "float32", (3,), (0.0, 1.0)),
    } | changes
    rng = np.random.default_rng(0)
    columns = {
        "a": rng.random(10, dtype=np.float32),
        "n": np.arange(10) % 2,
        "y": np.arange(10) % 2,
        "v": rng.random((10, 3), dtype=np.float32),
    }
    return Dataset(Schema(tuple(fields.values()), "y"), columns)


class TestStack(TransformerTests):
    def make(self):
        return Stack(fields=[], name="features")

    def example(self):
        return table()


class TestStackSome(TransformerTests):
    def make(self):
        return Stack(fields=["v", "a"], name="a")

    def example(self):
        return table()


def test_fields_lie_one_behind_the_other():
    data = table()
    step = Stack(fields=["v", "n"], name="both")
    schema = step.output_schema(data.schema)
    assert schema.names == ("a", "both", "y")
    assert schema["both"] == Field("both", "float32", (4,), (0.0, 1.0))
    found = step.transform(data.batch())["both"]
    np.testing.assert_array_equal(found[:, :3], data.columns["v"])
    np.testing.assert_array_equal(found[:, 3], data.columns["n"])


def test_range_and_unit_only_where_all_have_the_same():
    step = Stack(fields=[], name="x")
    same = {n: Field(n, "float32", (), (0.0, 2.0), "rpm") for n in ("a", "n")}
    assert step.output_schema(table(**same).schema.without("v"))["x"].unit == "rpm"
    other = table(a=Field("a", "float32", (), (0.0, 5.0), "V"))
    assert step.output_schema(other.schema)["x"] == Field("x", "float32", (5,))


@pytest.mark.parametrize(
    ("field", "text", "hint"),
    [
        (Field("v", "str"), "numbers, and field 'v' holds text", "put one_hot before it, drop 'v',"
         " or cut the data by_group with it"),
        (Field("v", "int64", categories=("p",)), "numbers, and field 'v' holds categories",
         "put one_hot before it, drop 'v', or cut the data by_group with it"),
        (Field("v", "float32", (2, 2)), "numbers and vectors, and field 'v' is an array of shape"
         " [2, 2]", "put flatten before it: transformer.flatten.field=v"),
    ],
)  # fmt: skip
def test_fields_that_cannot_be_stacked(field, text, hint):
    with pytest.raises(ConfigError) as caught:
        Stack(fields=[], name="x").output_schema(table(v=field).schema)
    assert str(caught.value) == f"transformer.stack stacks {text}\n  next: {hint}"


def test_target_is_not_stacked():
    with pytest.raises(ConfigError) as caught:
        Stack(fields=["a", "y"], name="x").output_schema(table().schema)
    assert str(caught.value) == "transformer.stack.fields=y: the field is to be predicted"


def test_name_that_is_taken():
    with pytest.raises(ConfigError) as caught:
        Stack(fields=["a"], name="v").output_schema(table().schema)
    assert str(caught.value) == (
        "transformer.stack.name=v is a field of its own\n  exists: a, n, y, v"
    )


def test_nothing_to_stack():
    with pytest.raises(ConfigError) as caught:
        Stack(fields=[], name="x").output_schema(table().schema.without("a", "n", "v"))
    assert str(caught.value) == "transformer.stack.name=x would be empty\n  exists: y"


def test_field_that_does_not_exist():
    with pytest.raises(ConfigError, match=r"^transformer\.stack\.fields=b is not in the data"):
        Stack(fields=["b"], name="x").output_schema(table().schema)
