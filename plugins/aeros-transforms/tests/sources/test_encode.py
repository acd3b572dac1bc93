import numpy as np
import pytest

from aeros_core.errors import DataError
from aeros_core.schema import Field
from aeros_transforms.sources import encode


def test_numbers_have_the_range_observed():
    field, column = encode.number("x", np.array([3, -1, 2]))
    assert field == Field("x", "float32", (), (-1.0, 3.0))
    assert column.dtype == np.float32
    assert column.tolist() == [3, -1, 2]


def test_images_have_one_range_and_vectors_none():
    assert encode.number("x", np.zeros((2, 3, 3), np.uint8))[0].range == (0.0, 0.0)
    assert encode.number("x", np.zeros((2, 3)))[0] == Field("x", "float32", (3,))


def test_numbers_that_are_missing_or_too_large_stay():
    field, column = encode.number("x", np.array([1.0, np.nan, 1e300]))
    assert field.range == (1.0, 1.0)
    np.testing.assert_array_equal(column, np.array([1, np.nan, np.inf], np.float32))
    assert encode.number("x", np.array([np.nan]))[0].range is None


def test_texts_have_sorted_categories():
    field, column = encode.text("x", np.array(["b", "a", "b"]))
    assert field == Field("x", "str", categories=("a", "b"))
    assert column.tolist() == ["b", "a", "b"]


@pytest.mark.parametrize(
    ("values", "codes", "categories"),
    [
        (np.array([10, 9, 10]), [1, 0, 1], ("9", "10")),
        (np.array([True, False]), [1, 0], ("False", "True")),
        (np.array(["no", "yes", "no"]), [0, 1, 0], ("no", "yes")),
    ],
)
def test_target_of_classes(values, codes, categories):
    field, column = encode.target("y", values)
    assert field == Field("y", "int64", categories=categories)
    assert column.dtype == np.int64
    assert column.tolist() == codes


def test_target_of_fractions_is_a_number():
    assert encode.target("y", np.array([0.5, 1.5]))[0] == Field("y", "float32", (), (0.5, 1.5))


@pytest.mark.parametrize("make", [encode.feature, encode.target])
def test_neither_numbers_nor_text(make):
    with pytest.raises(DataError) as caught:
        make("x", np.array([1j]))
    assert str(caught.value) == "array 'x' holds complex128, neither numbers nor text"


@pytest.mark.parametrize(
    ("value", "name"), [(3.0, "3"), (2.5, "2.5"), (7, "7"), (True, "True"), ("a", "a")]
)
def test_names(value, name):
    assert encode.name_of(value) == name
