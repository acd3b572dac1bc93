"""Rows of no meaning keep the schema, and differ where they can."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.schema import Field
from aeros_serving.protocol.input_schema import InputSchema

DTYPES = ["bool", "int8", "uint8", "int64", "uint64", "float16", "float32", "float64", "*", "str"]


@st.composite
def fields(draw):
    dtype = draw(st.sampled_from(DTYPES))
    shape = tuple(draw(st.lists(st.sampled_from([1, 3, None]), max_size=2)))
    categories = draw(st.sampled_from([None, ("only",), ("a", "b", "c")]))
    span = draw(
        st.none()
        | st.tuples(st.floats(-100, 100), st.floats(0, 100)).map(lambda t: (t[0], t[0] + t[1]))
        | st.sampled_from([(-np.inf, np.inf), (0.0, 1e300), (-1.7e308, 1.7e308)])
    )
    if dtype != "str" and (dtype == "*" or np.dtype(dtype).kind not in "iu"):
        categories = None
    return Field("x", dtype, shape, None if dtype in ("str", "float16") else span, None, categories)


@given(fields(), st.integers(1, 5), st.integers(1, 4))
def test_they_keep_the_schema(field, rows, free):
    contract = InputSchema({"x": field})
    for batch in (contract.sample(rows, free), contract.different(rows, free)):
        tensor = batch["x"]
        assert tensor.shape == (rows, *(free if n is None else n for n in field.shape))
        if tensor.dtype == object:
            tensor = np.array([t.encode() for t in tensor.ravel()], object).reshape(tensor.shape)
        checked = contract.check({"x": tensor}, {"x": "THIS"})["x"]
        np.testing.assert_array_equal(checked, batch["x"])


@pytest.mark.parametrize(
    "field",
    [
        Field("x", "float32"),
        Field("x", "float64", (), (5.0, 6.0)),
        Field("x", "int64", (3,)),
        Field("x", "int8", (), (-1e9, 1e9)),
        Field("x", "str"),
        Field("x", "str", categories=tuple("abcdef")),
        Field("x", "bool", (4,)),
    ],
)
def test_they_differ_and_are_the_same_with_every_call(field):
    contract = InputSchema({"x": field})
    rows = contract.different(8)["x"]
    np.testing.assert_array_equal(rows, contract.different(8)["x"])
    assert any(np.any(row != rows[0]) for row in rows)
    if field.range is not None and abs(field.range[1]) < 100:
        assert rows.min() >= field.range[0]
        assert rows.max() <= field.range[1]
