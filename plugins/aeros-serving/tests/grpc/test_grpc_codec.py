"""Requests and answers as messages of protobuf, typed and raw."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_serving.grpc import codec
from aeros_serving.grpc.messages import message
from aeros_serving.protocol.errors import Malformed
from aeros_serving.requests import LARGE, Output, Request

FIELDS = {
    "BOOL": ("bool_contents", st.booleans()),
    "INT8": ("int_contents", st.integers(-128, 127)),
    "INT32": ("int_contents", st.integers(-(2**31), 2**31 - 1)),
    "INT64": ("int64_contents", st.integers(-(2**63), 2**63 - 1)),
    "UINT8": ("uint_contents", st.integers(0, 255)),
    "UINT32": ("uint_contents", st.integers(0, 2**32 - 1)),
    "UINT64": ("uint64_contents", st.integers(0, 2**64 - 1)),
    "FP32": ("fp32_contents", st.floats(width=32)),
    "FP64": ("fp64_contents", st.floats()),
    "BYTES": ("bytes_contents", st.binary()),
}


class Served:
    name, version, labels = "m", 1, ()


def asked(datatype, values):
    request = message("ModelInferRequest")()
    one = request.inputs.add(name="x", datatype=datatype, shape=[len(values)])
    getattr(one.contents, FIELDS[datatype][0]).extend(values)
    return request


@given(st.sampled_from([*FIELDS]), st.data())
def test_typed_contents_go_there_and_back(datatype, data):
    values = data.draw(st.lists(FIELDS[datatype][1], max_size=5))
    request = codec.request_of(asked(datatype, values))
    assert request.bad == {}
    array = request.tensors["x"]
    np.testing.assert_array_equal(array, np.array([*values, None], object)[:-1].astype(array.dtype))
    answer = codec.encode(request, Served, [(Output("x"), array)]).outputs[0]
    assert answer.datatype == datatype
    found = list(getattr(answer.contents, FIELDS[datatype][0]))
    assert repr(found) == repr(values)  # NaN is NaN, and -0.0 is not 0.0


@pytest.mark.parametrize(
    ("datatype", "value"),
    [("INT8", 128), ("INT16", -(2**15) - 1), ("UINT8", 256), ("UINT16", 2**16)],
)
def test_what_a_datatype_cannot_hold_is_told(datatype, value):
    field = "int_contents" if datatype.startswith("I") else "uint_contents"
    request = message("ModelInferRequest")()
    getattr(request.inputs.add(name="x", datatype=datatype, shape=[1]).contents, field).append(
        value
    )
    assert codec.request_of(request).bad == {"x": f"input 'x': values that {datatype} cannot hold"}


def test_an_output_is_asked_for_once():
    request = asked("FP32", [1.0])
    for name in "yzy":
        request.outputs.add(name=name)
    with pytest.raises(Malformed, match="output 'y' is asked for twice"):
        codec.request_of(request)


def test_of_many_inputs_that_cannot_be_read_the_first_are_told():
    request = message("ModelInferRequest")()
    for _ in range(5000):
        request.inputs.add()
    with pytest.raises(Malformed, match="more than 100 inputs cannot be read"):
        codec.request_of(request)


def test_the_cost_is_that_of_what_is_typed_and_of_texts_and_less_for_raw_numbers():
    numbers, texts = asked("FP32", []), asked("BYTES", [])
    for request in (numbers, texts):
        request.inputs[0].ClearField("contents")
        request.raw_input_contents.append(bytes(16 * LARGE))
    assert LARGE < codec.cost(numbers) < 1.1 * LARGE
    assert codec.cost(texts) > 16 * LARGE
    assert codec.cost(asked("INT64", [1] * LARGE)) > LARGE
    assert codec.cost(asked("FP32", [1.0] * 3)) < 200
    assert Request("", {}, {}).bad == {}
