import numpy as np
import pytest

from aeros_core.errors import ConfigError, DataError
from aeros_core.schema import Field, Schema
from aeros_transforms.steps.field_binding import Binding

SCHEMA = Schema(
    (
        Field("a", "float32"),
        Field("n", "int64"),
        Field("site", "str"),
        Field("code", "int64", categories=("p", "q")),
        Field("y", "float64"),
    ),
    "y",
)


def test_floating_point_features_are_chosen():
    assert Binding.of("t", SCHEMA, []) == Binding(("a",), "y")


def test_numbers_and_the_target_can_be_named():
    assert Binding.of("t", SCHEMA, ["y", "n"]) == Binding(("y", "n"), "y")


@pytest.mark.parametrize("name", ["site", "code"])
def test_categories_are_no_numbers(name):
    with pytest.raises(ConfigError) as caught:
        Binding.of("transformer.clip", SCHEMA, [name])
    assert str(caught.value) == (
        f"transformer.clip.fields={name}: the field holds categories or text, not numbers\n"
        f"  next: put one_hot before it, or leave '{name}' out"
    )


def test_field_that_does_not_exist():
    with pytest.raises(ConfigError, match=r"^transformer\.clip\.fields=b is not in the data\n"):
        Binding.of("transformer.clip", SCHEMA, ["b"])


def test_no_field_to_choose():
    with pytest.raises(ConfigError) as caught:
        Binding.of("transformer.clip", SCHEMA.without("a", "site"), [])
    assert str(caught.value) == (
        "transformer.clip finds no floating-point field in the data\n"
        "  exists: n: int64 (), code: int64 (), 2 categories"
    )


def test_only_the_target_may_be_missing():
    binding, column = Binding(("a", "y"), "y"), np.zeros(2)
    assert list(binding.columns({"a": column})) == [("a", column)]
    with pytest.raises(DataError) as caught:
        list(binding.columns({"y": column, "b": column}))
    assert str(caught.value) == "field 'a' is missing\n  exists: y, b"


@pytest.mark.parametrize("target", ["y", None])
def test_state_round_trip(target):
    binding = Binding(("a b", "c.d"), target)
    assert Binding.restore(binding.state()) == binding
