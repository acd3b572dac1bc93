"""Large arrays of numbers and texts read in pieces: the same comes of them as of small ones."""

import json
import math
import threading
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aeros_serving.protocol.errors import Malformed
from aeros_serving.requests import LARGE
from aeros_serving.rest import codec, large_arrays, large_texts
from aeros_serving.rest.codec import request_of

PIECE = 16


@pytest.fixture(autouse=True, scope="module")
def small_pieces():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_arrays, "_SMALL", PIECE)
        patch.setattr(large_arrays, "_SMALL_TEXTS", PIECE)
        patch.setattr(large_texts, "PIECE", PIECE)
        patch.setattr(codec, "WHOLE", PIECE)
        yield


def in_pieces(text):
    return found(text)


def whole(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "WHOLE", 10**9)
        return found(text)


def found(text):
    """Return dtype, shape and elements of the input x, or None where it is refused."""
    try:
        array = request_of(text.encode(), None).tensors.get("x")
    except Malformed:
        return None
    return None if array is None else (array.dtype, array.shape, array.tolist())


def body_of(data, shape, datatype):
    head = f'{{"inputs": [{{"name": "x", "shape": {shape}, "datatype": "{datatype}", "data" : '
    return f'{head}{data}}}, {{"name": "y", "shape": [1], "datatype": "INT8", "data": [1]}}]}}'


@st.composite
def bodies(draw):
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    datatype = draw(st.sampled_from(["FP32", "FP64", "INT64", "UINT64", "UINT8", "BOOL", "BYTES"]))
    number = {
        "F": st.floats(width=32, allow_nan=False, allow_infinity=False),
        "I": st.integers(-(2**63), 2**63 - 1),
        "U": st.integers(0, 255),
        "B": st.booleans(),
        "T": st.text(max_size=30) | st.text('[]{}",:\\\x00ä', max_size=6),
    }["T" if datatype == "BYTES" else datatype[0]]
    size = math.prod(shape)
    flat = draw(st.lists(number, min_size=size, max_size=size))
    nested = np.array(flat, object).reshape(shape).tolist()
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n ", " :\t")]))
    text = json.dumps(draw(st.sampled_from([flat, nested])), separators=separators)
    return text, draw(st.sampled_from([shape, shape, [size], shape[::-1]])), datatype


@given(bodies())
def test_it_makes_the_same_tensors(body):
    text = body_of(*body)
    assert in_pieces(text) == whole(text)


@given(bodies(), st.data())
@example(("[[1, 2], 3[, 4], [5, 6]]", [2, 2], "INT64"), None)
@example(("[[[1, 2]3, [4, 5]]]", [2, 2], "INT64"), None)
def test_it_refuses_the_same_texts(body, data):
    text, shape, datatype = body
    if data is not None:
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 3)))
        new = data.draw(st.text('[]{}",: 01.e-nt\\', max_size=3))
        text = text[:start] + new + text[end:]
    text = body_of(text, shape, datatype)
    assert in_pieces(text) == whole(text)


@pytest.mark.parametrize(
    "more", ['"a\\"data\\": [1, 2, 3, 4, 5, 6, 7, 8]"', '{"data": [1, 2, 3, 4, 5, 6, 7]}']
)
def test_what_merely_looks_like_data_is_left_alone(more):
    text = body_of("[1, 2, 3, 4, 5, 6, 7, 8]", [8], "INT8")[:-1]
    text += f', "parameters": {{"note": {more}}}}}'
    assert in_pieces(text) == whole(text)
    assert in_pieces(text)[1] == (8,)


@pytest.mark.parametrize(
    ("data", "shape", "told"),
    [
        (list(range(20)), [21], "20 elements of data, but shape [21] has 21"),
        ([[1] * 10] * 2, [4, 5], "data is nested otherwise than shape [4, 5]"),
        ([*range(20), None], [21], "element 20 of data is null, not an integer"),
        ([*range(20), 300], [21], "element 20 of data is 300, out of the range of INT8"),
        ([*range(20), 1.5], [21], "element 20 of data is 1.5, not an integer"),
    ],
)
def test_what_is_wrong_is_told(data, shape, told):
    request = request_of(body_of(json.dumps(data), shape, "INT8").encode(), None)
    assert request.bad == {"x": f"input 'x': {told}"}


@pytest.mark.parametrize("shape", [[21], [7, 3]])
@pytest.mark.parametrize(("wrong", "told"), [(0, "0"), (None, "null"), (True, "true")])
def test_a_text_that_is_none_is_named(shape, wrong, told):
    data = np.array([*"abcdefghijklmnopqrst", wrong], object).reshape(shape).tolist()
    request = request_of(body_of(json.dumps(data), shape, "BYTES").encode(), None)
    assert request.bad == {"x": f"input 'x': element 20 of data is {told}, not a text"}


def test_more_arrays_than_a_parser_should_make_at_once_are_refused(monkeypatch):
    monkeypatch.setattr(large_arrays, "CONTAINERS", 10)
    assert found(body_of([[1] * 10] * 20, [20, 10], "INT8"))[1] == (20, 10)
    with pytest.raises(Malformed, match="the request holds 20 arrays and objects, and at most 10"):
        request_of(b'{"inputs": [%s]}' % b",".join([b"[]"] * 18), None)


def test_more_texts_than_a_parser_should_make_at_once_are_refused(monkeypatch):
    monkeypatch.setattr(large_arrays, "TEXTS", 30)
    assert found(body_of(json.dumps(["a", "b"] * 10), [20], "BYTES"))[1] == (20,)
    with pytest.raises(Malformed, match="the request holds 62 texts in objects and small arrays"):
        request_of(b'{"inputs": [], "outputs": [%s]}' % b",".join([b'"a"'] * 60), None)


@pytest.mark.parametrize(
    "unit",
    ['"data":["x"', '"data":["x",', '"data":[[[', '"data":["\\",', '"data":["x"data', '"data":[1'],
)
def test_what_is_no_array_takes_time_in_proportion_to_its_bytes(unit):
    """Where each beginning were followed to the end of the body, this would take hours."""
    body = (unit * (2_000_000 // len(unit))).encode()
    with pytest.raises(Malformed):
        request_of(body, None)


def longest_wait(text):
    """Return the longest time that another thread did not run, as a part of the reading."""
    turns, done = [], threading.Event()

    def count():
        while not done.is_set():
            turns.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    began = time.perf_counter()
    request = request_of(text, None)
    ended = time.perf_counter()
    done.set()
    thread.join(30)
    assert request.tensors["x"].shape == (1_000_000, 1)
    within = [began, *(turn for turn in turns if began < turn < ended), ended]
    return max(later - earlier for earlier, later in pairwise(within)) / (ended - began)


@pytest.mark.parametrize(("element", "datatype"), [(1, "FP32"), ("a", "BYTES")])
def test_other_threads_run_while_a_large_body_is_read(monkeypatch, element, datatype):
    """One call of a parser would take nearly all of the time, in each of the tries."""
    monkeypatch.setattr(large_arrays, "_SMALL", LARGE)
    monkeypatch.setattr(large_texts, "PIECE", LARGE // 4)
    text = body_of(json.dumps([[element]] * 1_000_000), [1_000_000, 1], datatype).encode()
    assert min(longest_wait(text) for _ in range(10)) < 0.5
