"""Tensors on the wire, held against struct and tritonclient's own coding."""

import struct

import ml_dtypes
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient import utils

from aeros_serving.protocol.errors import Malformed
from aeros_serving.protocol.tensors import DATATYPES, datatype_of, of_json, of_raw, to_json, to_raw

NUMBERS = [name for name in DATATYPES if name not in ("BYTES", "BF16")]


@given(st.sampled_from(NUMBERS), st.lists(st.integers(0, 4), max_size=3), st.integers(0, 9))
def test_numbers_go_there_and_back(datatype, shape, seed):
    rng = np.random.default_rng(seed)
    dtype = utils.triton_to_np_dtype(datatype)
    array = (rng.random(shape) * 2).astype(dtype)
    assert datatype_of(array.dtype) == datatype == utils.np_to_triton_dtype(dtype)
    found = of_raw("x", datatype, shape, bytes(to_raw(array)))
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@given(st.lists(st.binary(max_size=12), max_size=6))
def test_bytes_are_coded_as_tritonclient_codes_them(values):
    array = np.array([*values, None], dtype=object)[:-1]
    theirs = utils.serialize_byte_tensor(array)
    raw = theirs.item() if theirs.size else b""
    assert bytes(to_raw(array)) == raw
    assert of_raw("x", "BYTES", [len(values)], raw).tolist() == values


def test_bf16_is_the_upper_half_of_float32():
    array = np.array([1.5, -2.0, 0.0, 3.0e38], np.float32)
    halves = array.astype(ml_dtypes.bfloat16)
    found = of_raw("x", "BF16", [4], halves.tobytes())
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, halves.astype(np.float32))


def test_what_lies_askew_is_set_right():
    whole = b"." + struct.pack("<2d", 1.5, 2.5)
    found = of_raw("x", "FP64", [2], memoryview(whole)[1:])
    assert found.flags.aligned
    assert found.tolist() == [1.5, 2.5]


def test_any_byte_but_zero_is_true():
    assert of_raw("x", "BOOL", [3], b"\0\2\1").tolist() == [False, True, True]


@given(
    st.one_of(st.sampled_from([*DATATYPES]), st.text(max_size=4)),
    st.lists(st.one_of(st.integers(-2, 2**41), st.floats(), st.booleans()), max_size=4),
    st.binary(max_size=64),
)
def test_no_bytes_do_harm(datatype, shape, raw):
    told, found = "", np.empty(0)
    try:
        found = of_raw("x", datatype, shape, raw)
    except Malformed as refused:
        told = str(refused)
    assert told.startswith("input 'x': ") or list(found.shape) == shape


NESTED = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.floats(), st.text()),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from([*DATATYPES]), st.lists(st.integers(0, 3), max_size=3), NESTED)
def test_no_json_does_harm(datatype, shape, data):
    told, found = "", np.empty(0)
    try:
        found = of_json("x", datatype, shape, data)
    except Malformed as refused:
        told = str(refused)
    fits = list(found.shape) == shape and found.dtype == DATATYPES[datatype]
    assert told.startswith("input 'x': ") or fits


def test_json_is_nested_or_flat():
    for data in ([[1, 2], [3, 4]], [1, 2, 3, 4]):
        assert of_json("x", "INT16", [2, 2], data).tolist() == [[1, 2], [3, 4]]
    assert of_json("x", "BYTES", [2, 1], [["ä"], ["b"]]).tolist() == [["ä".encode()], [b"b"]]


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "told"),
    [
        ("FP8", [1], [1], "datatype FP8 is none of BOOL, UINT8"),
        ("FP32", [2], [1], "1 elements of data, but shape [2] has 2"),
        ("FP32", [-1], [1], "shape holds -1, which is not a length"),
        ("INT64", [2], [2, True], "element 1 of data is true, not an integer"),
        ("FP64", [2], [2, False], "element 1 of data is false, not a number"),
        ("FP32", [2], [1.5, None], "element 1 of data is null, not a number"),
        ("FP32", [1], [{}], "element 0 of data is an object, not a number"),
        ("BOOL", [2], [True, 0], "element 1 of data is 0, not true or false"),
        ("INT64", [1], [2**63], "element 0 of data is 9223372036854775808, out of the range"),
        ("UINT64", [2], [1, -1], "element 1 of data is -1, out of the range of UINT64"),
        ("FP64", [1], [10**400], "out of the range of FP64"),
        ("INT8", [70000], [1] * 69999 + [200], "element 69999 of data is 200, out of the range"),
        ("FP32", [4], [[1, 2], [3, 4]], "an array of 2 elements, but shape [4] has 4 there"),
        ("FP32", [1, 4], [[1, 2], [3, 4]], "an array of 2 elements, but shape [1, 4] has 1"),
        ("FP32", [2, 1], [[1], 2], "data mixes arrays and single values"),
        ("FP32", [2, 1], [1, [2]], "element 1 of data is an array, not a number"),
        ("FP32", [1], [[[1]]], "element 0 of data is an array, not a number"),
        ("BYTES", [2, 1], [["a"], [["b"]]], "element 1 of data is an array, not a text"),
        ("INT8", ["x" * 999], [1], "shape holds 'xxxx"),
        ("INT8", [[[]]], [1], "shape holds an array, which is not a length"),
        ("FP8" * 99, [1], [1], "datatype 'FP8FP8"),
        ("FP32", [2, 2], [[1, 1], [2]], "an array of 1 elements, but shape [2, 2] has 2 there"),
        ("FP32", [1], ["1"], "element 0 of data is '1', not a number"),
        ("FP32", [3], [1, -1e99, 1e39], "element 1 of data is -1e+99, out of the range of FP32"),
        ("FP32", [1], 1, "data must be an array"),
        ("UINT8", [1], [256], "element 0 of data is 256, out of the range of UINT8"),
        ("INT8", [1], [1.0], "element 0 of data is 1.0, not an integer"),
        ("BOOL", [1], [1], "element 0 of data is 1, not true or false"),
        ("BYTES", [1], [1], "element 0 of data is 1, not a text"),
        ("FP16", [1], [1], "FP16 cannot be sent in JSON, send it as binary data"),
        ("FP32", [1] * 65, [1], "65 dimensions, and at most 32 can be"),
        ("FP32", [2**39, 2**39, 0], [], "is too large"),
    ],
)
def test_what_is_wrong_with_json_is_told(datatype, shape, data, told):
    with pytest.raises(Malformed) as refused:
        of_json("x", datatype, shape, data)
    assert told in str(refused.value)
    assert len(str(refused.value)) < 200


@given(st.lists(st.integers(0, 2**64 - 1), max_size=5))
def test_unsigned_integers_of_64_bits_are_exact_in_json_both_ways(values):
    array = of_json("x", "UINT64", [len(values)], orjson.loads(orjson.dumps(values)))
    assert array.dtype == np.uint64
    assert array.tolist() == to_json(array) == values


@st.composite
def nested(draw):
    """Return a shape, its elements, and the same elements nested as the shape says."""
    shape = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    flat = list(range(int(np.prod(shape))))
    return shape, flat, np.array(flat, np.int64).reshape(shape).tolist()


@given(nested(), nested())
def test_nested_data_has_the_shape_that_is_stated(one, other):
    shape, flat, data = one
    for written in (flat, data):
        assert of_json("x", "INT64", shape, written).tolist() == data
    wrong = other[2]
    if wrong != data and wrong and isinstance(wrong[0], list):
        with pytest.raises(Malformed):
            of_json("x", "INT64", shape, wrong)


def test_zeros_behind_bytes_are_kept():
    values = [b"a\0\0", b"\0", b""]
    raw = bytes(to_raw(np.array(values, dtype=object)))
    assert of_raw("x", "BYTES", [3], raw).tolist() == values
    assert of_json("x", "BYTES", [2], ["a\0", "\0"]).tolist() == [b"a\0", b"\0"]
    assert to_json(np.array(["a\0"], dtype=object)) == ["a\0"]


@pytest.mark.parametrize(
    ("datatype", "shape", "raw", "told"),
    [
        ("FP32", [2], b"1234", "4 bytes of data, but FP32 [2] takes 8"),
        ("BYTES", [1], b"\5\0\0\0ab", "element 0 of BYTES ends beyond the data"),
        ("BYTES", [1], b"\1\0\0\0ab", "1 bytes too many after 1 of BYTES"),
        ("FP32", [1] * 65, b"1234", "65 dimensions, and at most 32 can be"),
        ("INT8", [2**39, 2**39, 0], b"", "is too large"),
        ("BYTES", [0] + [2**39] * 2, b"", "is too large"),
        ("BYTES", [2**39], b"", "0 bytes cannot hold 549755813888 elements of BYTES"),
    ],
)
def test_what_is_wrong_with_raw_bytes_is_told(datatype, shape, raw, told):
    with pytest.raises(Malformed) as refused:
        of_raw("x", datatype, shape, raw)
    assert told in str(refused.value)


def test_bytes_that_are_no_text_do_not_go_into_json():
    with pytest.raises(Malformed, match="ask for binary data"):
        to_json(np.array([b"\xff"], dtype=object))
