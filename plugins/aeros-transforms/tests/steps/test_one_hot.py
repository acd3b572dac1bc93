import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import OneHotEncoder

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError, DataError
from aeros_core.schema import Field, Schema
from aeros_core.testing import TransformerTests
from aeros_transforms.steps.one_hot import OneHot

COLOURS = ("red", "green", "blue")


def table():
    rng = np.random.default_rng(0)
    schema = Schema(
        (
            Field("colour", "str", categories=COLOURS),
            Field("code", "int64", (2,), categories=("p", "q", "r", "s")),
            Field("x", "float32"),
            Field("y", "int64", categories=("no", "yes")),
        ),
        "y",
    )
    return Dataset(
        schema,
        {
            "colour": np.array(COLOURS)[rng.integers(0, 3, 20)],
            "code": rng.integers(0, 4, (20, 2)),
            "x": rng.random(20, dtype=np.float32),
            "y": rng.integers(0, 2, 20),
        },
    )


class TestOneHot(TransformerTests):
    def make(self):
        return OneHot(fields=[])

    def example(self):
        return table()


class TestOneHotTarget(TransformerTests):
    def make(self):
        return OneHot(fields=["y", "colour"])

    def example(self):
        return table()


def test_schema():
    schema = OneHot(fields=[]).output_schema(table().schema)
    assert schema["colour"] == Field("colour", "float32", (3,), (0.0, 1.0))
    assert schema["code"] == Field("code", "float32", (2, 4), (0.0, 1.0))
    assert schema["y"] == table().schema["y"]


categories = st.lists(st.text("abcé", min_size=1), min_size=1, max_size=6, unique=True)


@given(categories, st.data())
def test_equals_one_hot_encoder(names, data):
    column = np.array(data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=20)))
    peer = OneHotEncoder(categories=[names], sparse_output=False)
    step = OneHot(fields=[])
    step.output_schema(Schema((Field("x", "str", categories=tuple(names)),)))
    found = step.transform({"x": column})["x"]
    np.testing.assert_array_equal(found, peer.fit_transform(column.reshape(-1, 1).astype(object)))


def test_codes_of_several_dimensions():
    step = OneHot(fields=["code"])
    step.output_schema(table().schema)
    found = step.transform(table().batch())["code"]
    np.testing.assert_array_equal(found, np.eye(4, dtype=np.float32)[table().columns["code"]])


@pytest.mark.parametrize(
    ("name", "values", "value", "number"),
    [
        ("colour", np.array(["red", "pink"]), "pink", 3),
        ("code", np.array([[0, 4]]), "4", 4),
        ("code", np.array([[-1, 0]]), "-1", 4),
    ],
)
def test_value_that_is_no_category(name, values, value, number):
    step = OneHot(fields=[name])
    step.output_schema(table().schema)
    with pytest.raises(DataError) as caught:
        step.transform({name: values})
    shown = "red, green, blue" if name == "colour" else "p, q, r, s"
    assert str(caught.value) == (
        f"field '{name}' holds '{value}', which is none of its {number} categories\n"
        f"  exists: {shown}"
    )


def test_long_lists_of_categories_are_cut():
    step = OneHot(fields=[])
    step.output_schema(Schema((Field("x", "str", categories=tuple("abcdefghijklm")),)))
    with pytest.raises(DataError) as caught:
        step.transform({"x": np.array(["z"])})
    assert caught.value.exists == "a, b, c, d, e, f, g, h, i, j, …"


def test_field_without_categories():
    with pytest.raises(ConfigError) as caught:
        OneHot(fields=["x"]).output_schema(table().schema)
    assert str(caught.value) == (
        "transformer.one_hot.fields=x: the field has no categories\n  exists: colour, code"
    )


def test_field_that_does_not_exist():
    with pytest.raises(ConfigError, match=r"^transformer\.one_hot\.fields=color is not in"):
        OneHot(fields=["color"]).output_schema(table().schema)


def test_nothing_to_encode():
    with pytest.raises(ConfigError) as caught:
        OneHot(fields=[]).output_schema(table().schema.without("colour", "code"))
    assert str(caught.value) == (
        "transformer.one_hot finds no field with categories in the data\n  exists: x: float32 ()"
    )


def test_more_than_the_machine_has_is_refused_before_it_is_taken(monkeypatch):
    categories = tuple(map(str, range(100_000)))
    step = OneHot(fields=[])
    step.output_schema(Schema((Field("id", "str", categories=categories),)))
    texts = np.array(categories, object)
    monkeypatch.setattr("aeros_core.files.decompression.installed", lambda: 2**30)
    with pytest.raises(DataError) as caught:
        step.transform({"id": texts})
    assert str(caught.value) == (
        "field 'id' has 100000 categories: transformer.one_hot would take 37.25 GiB for 100000"
        " values of it, and this machine has 1 GiB of memory\n"
        "  next: transformer.drop.fields=id and drop before one_hot"
    )
    assert step.transform({"id": texts[:3]})["id"].shape == (3, 100_000)


def test_texts_of_any_kind_of_array():
    step = OneHot(fields=[])
    step.output_schema(Schema((Field("k", "str", categories=("a", "bb")),)))
    wanted = [[0, 1], [1, 0]]
    for kind in (object, np.str_, np.dtypes.StringDType()):
        assert step.transform({"k": np.array(["bb", "a"], kind)})["k"].tolist() == wanted
