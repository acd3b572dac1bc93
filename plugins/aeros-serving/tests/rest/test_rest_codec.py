"""Requests and answers in JSON and binary tensors, as REST carries them."""

import json
import math

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_serving.config import NonFinite
from aeros_serving.protocol.errors import Malformed, Refused, TooLarge
from aeros_serving.requests import LARGE, Output, Request
from aeros_serving.rest import codec
from aeros_serving.rest.codec import NON_FINITE, cost, encode, parsed, request_of


class Served:
    name, version, labels = "m", 1, ()


def body_of(inputs, **more):
    return json.dumps({"inputs": inputs, **more}).encode()


def tensor(name="x", datatype="FP32", shape=(1,), data=(1,), **more):
    return {"name": name, "datatype": datatype, "shape": list(shape), "data": list(data), **more}


def encoded(array, name="y", *, binary=False, non_finite=None):
    parts, headers = encode(
        Request("", {}, {}), Served, [(Output(name, binary), array)], non_finite
    )
    return b"".join(map(bytes, parts)), headers


NAMES = {"int64": "INT64", "uint64": "UINT64", "float32": "FP32", "float64": "FP64", "bool": "BOOL"}


@given(st.sampled_from([*NAMES]), st.lists(st.integers(0, 3), min_size=1, max_size=3), st.data())
def test_what_is_encoded_is_decoded_the_same(dtype, shape, data):
    values = {
        "int64": st.integers(-(2**63), 2**63 - 1),
        "uint64": st.integers(0, 2**64 - 1),
        "float32": st.floats(width=32, allow_nan=False, allow_infinity=False),
        "float64": st.floats(allow_nan=False, allow_infinity=False),
        "bool": st.booleans(),
    }[dtype]
    size = math.prod(shape)
    drawn = data.draw(st.lists(values, min_size=size, max_size=size))
    array = np.array(drawn, dtype).reshape(shape)
    text, headers = encoded(array)
    assert headers == {}
    answer = orjson.loads(text)["outputs"][0]
    assert (answer["datatype"], answer["shape"]) == (NAMES[dtype], shape)
    again = request_of(orjson.dumps({"inputs": [answer]}), None)
    assert again.bad == {}
    np.testing.assert_array_equal(again.tensors["y"], array)
    text, headers = encoded(array, binary=True)
    answer = json.loads(text[: headers[codec.LENGTH]])["outputs"][0]
    head = orjson.dumps({"inputs": [answer]})
    again = request_of(head + text[headers[codec.LENGTH] :], str(len(head)))
    np.testing.assert_array_equal(again.tensors["y"], array)


@pytest.mark.parametrize("name", ["scores", "größe, 1\r\nx: y"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_nan_and_infinity_are_null_and_announced(dtype, value, name):
    text, headers = encoded(np.array([1.0, value], dtype), name)
    assert orjson.loads(text)["outputs"][0]["data"] == [1.0, None]
    announced = headers[NON_FINITE]
    assert announced == {"scores": "scores"}.get(name, "gr%C3%B6%C3%9Fe%2C%201%0D%0Ax%3A%20y")
    with pytest.raises(Refused, match=r"^NaN or infinity in '.*', which JSON does not have"):
        encoded(np.array([1.0, value], dtype), name.split(",")[0], non_finite=NonFinite.refuse)


def test_finite_numbers_whose_sum_is_not_are_not_announced():
    text, headers = encoded(np.full(2, 1.7e308), non_finite=NonFinite.refuse)
    assert headers == {}
    assert orjson.loads(text)["outputs"][0]["data"] == [1.7e308] * 2


def test_nan_travels_as_binary_data_without_a_word():
    text, headers = encoded(np.array([np.nan], "<f4"), binary=True, non_finite=NonFinite.refuse)
    assert NON_FINITE not in headers
    assert math.isnan(np.frombuffer(text[headers[codec.LENGTH] :], "<f4")[0])


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_lacks_are_told_with_their_place(word):
    body = body_of([tensor()]).replace(b"[1]}", b"[%s]}" % word.encode())
    place = body.index(word.lstrip("-").encode())
    with pytest.raises(Malformed, match=rf"column {place + 1} .*; {word.lstrip('-')} is not JSON"):
        request_of(body, None)


def test_null_is_no_number():
    request = request_of(body_of([tensor(shape=[2], data=[1.0, None])]), None)
    assert request.bad == {"x": "input 'x': element 1 of data is null, not a number"}


def test_a_request_to_the_repository_is_small():
    assert parsed(b'{"parameters": {}}') == {"parameters": {}}
    with pytest.raises(TooLarge, match="such a request at most 65536"):
        parsed(b"[" * (LARGE + 1))


def test_an_output_is_asked_for_once():
    with pytest.raises(Malformed, match="output 'y' is asked for twice"):
        request_of(body_of([tensor()], outputs=[{"name": "y"}, {"name": "z"}, {"name": "y"}]), None)


def test_of_many_inputs_that_cannot_be_read_the_first_are_told():
    with pytest.raises(Malformed, match="more than 100 inputs cannot be read") as told:
        request_of(body_of([{}] * 5000), None)
    assert len(str(told.value)) < 1000


def deep(levels):
    return json.loads("[" * levels + "]" * levels)


@pytest.mark.parametrize(
    "value", ["x" * 10**6, deep(900), [0] * 10**6], ids=["long", "deep", "many"]
)
@pytest.mark.parametrize(
    "place",
    ["shape", "datatype", "name", "length", "data", "size", "id", "timeout", "explain",
     "explain_steps", "explain_target", "explain_baseline", "output", "binary_data"],
)  # fmt: skip
def test_a_message_is_short_whatever_the_request_holds(place, value):
    one, more = tensor(), {}
    if place in ("shape", "datatype", "name", "data"):
        one[place] = value
    elif place == "length":
        one["shape"] = [value]
    elif place == "size":
        one["parameters"] = {"binary_data_size": value}
    elif place == "output":
        more["outputs"] = [{"name": value}, {"name": value}]
    elif place == "id":
        more["id"] = value
    else:
        more["parameters"] = {"explain": "integrated_gradients", place: value}
    told = ""
    try:
        request = request_of(body_of([one], **more), None)
        told = "".join(request.bad.values()) if request.bad else ""
    except Malformed as refused:
        told = str(refused)
    assert len(told) <= 4000


def test_the_cost_is_that_of_json_and_texts_and_less_for_numbers():
    head = body_of([tensor(datatype="FP32")])
    texts = body_of([tensor(datatype="BYTES")])
    hidden = head.replace(b"FP32", b"B\\u0059TES")
    raw = bytes(16 * LARGE)
    assert cost(b"x" * LARGE, None) == LARGE
    assert cost(head + raw, str(len(head))) == len(head) + LARGE
    assert cost(texts + raw, str(len(texts))) == len(texts) + len(raw)
    assert cost(hidden + raw, str(len(hidden))) == len(hidden) + len(raw)
    for length in ("", "-1", "9" * 99, "abc", str(len(raw) + 1), "²"):
        assert cost(raw, length) == len(raw)
