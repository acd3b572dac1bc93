import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.errors import ConfigError
from aeros_core.schema import Field, Schema

IMAGE = Field("image", "uint8", (28, 28), range=(0, 255), unit="lux")
LABEL = Field("label", "int64", categories=("cat", "dog"))
PETS = Schema((IMAGE, LABEL), target="label")


@pytest.mark.parametrize(
    ("wanted", "how"),
    [
        (Field("x", "uint8", (28, 28)), None),
        (Field("x", "*", (None, 28)), None),
        (Field("x", "*", (None, None), range=(-1, 300)), None),
        (Field("x", "*", (28, 28), range=(0, 255), unit="lux"), None),
        (Field("x", "float32", (28, 28)), "dtype uint8, not float32"),
        (Field("x", "*", (784,)), "2 dimensions, not 1"),
        (Field("x", "*", (1, 28, 28)), "2 dimensions, not 3"),
        (Field("x", "*", ()), "2 dimensions, not 0"),
        (Field("x", "*", (28, 32)), "length 28 in dimension 1, not 32"),
        (Field("x", "*", (None, 28), range=(0, 1)), "range 0 to 255, not within 0 to 1"),
        (Field("x", "*", (28, 28), range=(1, 255)), "range 0 to 255, not within 1 to 255"),
        (Field("x", "*", (28, 28), unit="lumen"), "unit lux, not lumen"),
        (Field("x", "*", (28, 28), categories=("a",)), "categories None, not ('a',)"),
    ],
)
def test_a_mismatch_is_told_in_words(wanted, how):
    assert IMAGE.mismatch(wanted) == how


def test_what_is_not_known_does_not_meet_what_is_asked():
    bare = Field("x", "uint8", (28, 28))
    asked = Field("x", "uint8", (28, 28), range=(0, 1))
    assert bare.mismatch(asked) == "range unknown, not within 0 to 1"
    asked = Field("x", "uint8", (28, 28), unit="lux")
    assert bare.mismatch(asked) == "unit unknown, not lux"


def test_a_field_reads_as_a_line():
    assert str(IMAGE) == "image: uint8 (28, 28), 0 to 255 lux"
    assert str(LABEL) == "label: int64 (), 2 categories"
    assert str(Field("x", "*", (None, 3))) == "x: * (*, 3)"


def test_a_schema_reads_as_a_line_a_field_with_its_target_marked():
    assert str(PETS) == "   image: uint8 (28, 28), 0 to 255 lux\n-> label: int64 (), 2 categories"


def test_missing_unexpected_and_differing_fields_are_all_told():
    wanted = Schema((Field("image", "float32", (28, 28)), Field("age", "*")), target="age")
    assert PETS.mismatches(wanted) == [
        "age: missing",
        "label: not expected",
        "image: dtype uint8, not float32",
        "target is label, not age",
    ]
    assert PETS.mismatches(PETS) == []


def test_a_field_that_does_not_exist_is_told_with_those_that_do():
    with pytest.raises(ConfigError) as refused:
        PETS["age"]
    assert str(refused.value) == (
        "field 'age' does not exist in the data\n  exists: image, label\n"
        "  next: name one of these fields, or change the transformers before"
    )
    with pytest.raises(ConfigError, match="exists: no field at all"):
        Schema(())["age"]


def test_fields_are_replaced_added_and_taken_away():
    flat = Field("image", "float32", (784,))
    age = Field("age", "float32", unit="years")
    assert PETS.with_field(flat) == Schema((flat, LABEL), target="label")
    assert PETS.with_field(age).names == ("image", "label", "age")
    assert PETS.without("image") == Schema((LABEL,), target="label")
    assert PETS.without("label") == Schema((IMAGE,), target=None)
    assert PETS.features == (IMAGE,)
    assert PETS["label"] is LABEL


FINITE = st.floats(allow_nan=False, allow_infinity=False)
FIELDS = st.builds(
    Field,
    name=st.text(),
    dtype=st.sampled_from(["float32", "int64", "str", "*"]),
    shape=st.lists(st.none() | st.integers(0, 9), max_size=3).map(tuple),
    range=st.none() | st.tuples(FINITE, FINITE),
    unit=st.none() | st.text(),
    categories=st.none() | st.lists(st.text(), max_size=3).map(tuple),
)


@given(st.builds(Schema, st.lists(FIELDS, max_size=4).map(tuple), st.none() | st.text()))
def test_a_schema_comes_back_from_json(schema):
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema
