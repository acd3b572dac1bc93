"""Columns made of tensors: texts as they are, numbers where they keep their value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.schema import Field, Unknown
from aeros_serving.protocol.columns import Column


def texts(*values):
    array = np.empty(len(values), dtype=object)
    array[:] = [value if isinstance(value, bytes) else value.encode() for value in values]
    return array


def column_of(field, array, datatype="THIS"):
    wrong, column = Column(field).of(array, datatype)
    assert list(wrong) == []
    return column


def told_of(field, array, datatype="THIS"):
    wrong, _ = Column(field).of(array, datatype)
    return "; ".join(wrong)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_texts_are_kept_as_they_are_zeros_at_their_end_too(values):
    column = column_of(Field("t", "str"), texts(*values, "a\0"))
    assert column.dtype == object
    assert column.tolist() == [*values, "a\0"]


def test_a_text_with_a_zero_behind_is_another_category():
    field = Field("t", "str", categories=("a", "b"))
    assert told_of(field, texts("a", "a\0")) == "'a\0' in row 1 is none of a, b"


def test_what_is_not_utf_8_is_told_with_its_row():
    array = texts("a", b"\xff", "b", "c").reshape(2, 2)
    assert told_of(Field("t", "str", (2,)), array) == "not UTF-8 in row 0"
    field = Field("t", "str", (2,), categories=("a", "b", "c"))
    assert "not UTF-8" in told_of(field, array)


@pytest.mark.parametrize("rule", [Unknown.zeros, Unknown.other])
def test_unknown_texts_are_taken_where_the_field_has_a_rule_for_them(rule):
    field = Field("t", "str", categories=("a", "other"), unknown=rule)
    made = Column(field)
    wrong, column = made.of(texts("a", "new"), "BYTES")
    assert (list(wrong), column.tolist(), made.strange) == ([], ["a", "new"], 1)


@pytest.mark.parametrize(("rule", "code"), [(Unknown.zeros, -1), (Unknown.other, 1)])
def test_unknown_codes_become_what_the_rule_of_the_field_says(rule, code):
    field = Field("t", "int64", categories=("a", "other"), unknown=rule)
    sent = np.array([0, 7, -3])
    assert column_of(field, sent).tolist() == [0, code, code]
    assert sent.tolist() == [0, 7, -3]  # what came is not written to


@pytest.mark.parametrize(
    ("shape", "sent", "taken"),
    [
        ((), (4, 1), (4,)),
        ((), (4,), (4,)),
        ((1,), (4,), (4, 1)),
        ((1,), (4, 1), (4, 1)),
        ((), (0, 1), (0,)),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "str"])
def test_a_column_of_single_values_may_have_either_shape(shape, sent, taken, dtype):
    array = np.zeros(sent, np.float32) if dtype == "float32" else np.full(sent, b"a", object)
    assert column_of(Field("x", dtype, shape), array).shape == taken


@pytest.mark.parametrize(
    ("shape", "sent", "told"),
    [
        ((), (4, 2), "shape [4, 2], not [rows]"),
        ((), (4, 1, 1), "shape [4, 1, 1], not [rows]"),
        ((2,), (4,), "shape [4], not [rows, 2]"),
        ((None,), (4,), "shape [4], not [rows, any]"),
        ((), (), "shape [], not [rows]"),
    ],
)
def test_other_shapes_are_refused(shape, sent, told):
    assert told_of(Field("x", "float32", shape), np.zeros(sent, np.float32)) == told


@pytest.mark.parametrize(
    ("dtype", "sent"),
    [
        ("float32", np.array([1, -(2**24)])),
        ("float32", np.array([0.5, -1e10])),
        ("float64", np.array([2**53, 1])),
        ("float64", np.array([1], np.uint64)),
        ("int32", np.array([2**31 - 1, -(2**31)])),
        ("int64", np.array([3.0, -1.0])),
        ("uint8", np.array([0, 255])),
        ("int64", np.array([2**63 - 1], np.uint64)),
        ("float32", np.array([True, False])),
        ("float16", np.array([2048])),
    ],
)
def test_numbers_of_another_dtype_are_taken_where_all_keep_their_value(dtype, sent):
    column = column_of(Field("x", dtype), sent)
    assert column.dtype == dtype
    assert column.tolist() == sent.tolist()


@pytest.mark.parametrize(
    ("dtype", "sent", "told"),
    [
        ("float32", np.array([1, 2**24 + 1]), "16777217 in row 1 does not fit FP32 exactly"),
        ("float32", np.array([1.0, 0.1]), "0.1 in row 1 does not fit FP32 exactly"),
        ("float32", np.array([2e200]), "2e+200 in row 0 does not fit FP32 exactly"),
        ("float32", np.array([2**63 - 1]), "9223372036854775807 in row 0 does not fit FP32"),
        ("float64", np.array([2**53 + 1]), "9007199254740993 in row 0 does not fit FP64"),
        ("float64", np.array([2**64 - 1], np.uint64), "18446744073709551615 in row 0"),
        ("int32", np.array([0, 2**31]), "2147483648 in row 1 does not fit INT32 exactly"),
        ("int64", np.array([2**63], np.uint64), "9223372036854775808 in row 0"),
        ("uint64", np.array([5, -1]), "-1 in row 1 does not fit UINT64 exactly"),
        ("int64", np.array([2.5]), "2.5 in row 0 does not fit INT64 exactly"),
        ("int64", np.array([2.0**63]), "9.223372036854776e+18 in row 0"),
        ("float16", np.array([70000]), "70000 in row 0 does not fit FP16 exactly"),
        ("float32", np.array([0.1, np.nan]), "NaN or infinity in row 1"),
        ("int64", np.array([np.inf]), "NaN or infinity in row 0"),
        ("bool", np.array([1]), "datatype THIS, not BOOL"),
        ("str", np.array([1]), "datatype THIS, not BYTES"),
    ],
)
def test_a_number_that_does_not_keep_its_value_is_told_with_its_row(dtype, sent, told):
    assert told in told_of(Field("x", dtype), sent)


@given(
    st.sampled_from(["int8", "int32", "int64", "uint8", "uint64", "float16", "float32", "float64"]),
    st.sampled_from(["int8", "int32", "int64", "uint8", "uint64", "float16", "float32", "float64"]),
    st.data(),
)
def test_a_number_is_taken_exactly_or_not_at_all(wanted, sent, data):
    kind = np.dtype(sent)
    values = (
        st.integers(int(np.iinfo(kind).min), int(np.iinfo(kind).max))
        if kind.kind in "iu"
        else st.floats(allow_nan=False, allow_infinity=False, width=8 * kind.itemsize)
    )
    near = st.sampled_from([2**24 + 1, 2**31, 2**53 + 1, 2**63 - 1, 127, 255, 0])
    array = np.array(data.draw(st.lists(values | near.filter(lambda n: fits(n, kind)))), kind)
    wrong, column = Column(Field("x", wanted)).of(array, "THIS")
    possible = all(fits(value, np.dtype(wanted)) for value in array.tolist())
    assert bool(wrong) is not possible
    if possible:
        assert column.tolist() == array.tolist()


def fits(value, dtype):
    """Tell in Python's own numbers whether a dtype holds a value exactly."""
    if dtype.kind in "iu":
        span = np.iinfo(dtype)
        return value == int(value) and span.min <= value <= span.max
    with np.errstate(over="ignore"):
        rounded = dtype.type(float(value)).item()
    return rounded == value


def test_codes_of_categories_may_come_as_floats():
    field = Field("x", "int64", categories=("a", "b"))
    assert column_of(field, np.array([0.0, 1.0])).tolist() == [0, 1]
    assert told_of(field, np.array([0.0, 2.0])) == "codes from 0 to 2, not 0 to 1"
