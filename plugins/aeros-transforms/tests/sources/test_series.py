import numpy as np
import pandas as pd
import pytest

from aeros_core.errors import ConfigError
from aeros_core.schema import Field
from aeros_transforms.sources import series


@pytest.mark.parametrize(
    ("values", "numeric", "fractional"),
    [
        ([1, 2], True, False),
        ([True, False], True, False),
        ([1.5, 2], True, True),
        (["a", "b"], False, False),
        (pd.array([1, None], dtype="Int64"), True, False),
        (pd.Categorical(["a"]), False, False),
    ],
)
def test_kinds(values, numeric, fractional):
    column = pd.Series(values, name="x")
    assert series.numeric(column) is numeric
    assert series.fractional(column) is fractional


def test_number_of_a_masked_column():
    field, column = series.number(pd.Series(pd.array([1, None], dtype="Int64"), name="x"))
    assert field == Field("x", "float32", (), (1.0, 1.0))
    np.testing.assert_array_equal(column, np.array([1, np.nan], np.float32))


def test_category_of_categories_of_numbers():
    field, column = series.category(pd.Series(pd.Categorical([10, 9, 10]), name="x"))
    assert field == Field("x", "int64", categories=("9", "10"))
    assert column.tolist() == [1, 0, 1]


def test_object_column_of_booleans_is_text_of_two():
    field, column = series.feature(pd.Series([True, False], name="x", dtype=object))
    assert field == Field("x", "str", categories=("False", "True"))
    assert column.tolist() == ["True", "False"]


def test_lists_are_refused():
    with pytest.raises(ConfigError) as caught:
        series.feature(pd.Series([[1], [2]], name="x"))
    assert str(caught.value) == (
        "column 'x' holds mixed values, neither numbers nor text\n  next: transformer.table.drop=x"
    )
