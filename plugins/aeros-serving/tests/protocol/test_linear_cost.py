"""Whatever a request holds, memory grows with its bytes."""

import json
import tracemalloc

import numpy as np
import pytest

from aeros_core.schema import Field, Schema
from aeros_serving.protocol.errors import Malformed
from aeros_serving.protocol.input_schema import InputSchema
from aeros_serving.requests import Request
from aeros_serving.rest.codec import request_of

FACTOR = 64
"""Bytes of memory for a byte of a request: a list, a text or a number of Python has 24 to 56."""

BASE = 2**20
"""Bytes that any request may take."""

SIZE = 2**18

SCHEMA = InputSchema(
    {
        "text": Field("text", "str"),
        "kind": Field("kind", "str", categories=("a", "b")),
        "free": Field("free", "float32", (None,)),
        "code": Field("code", "int64", categories=tuple(map(str, range(1000)))),
    }
)


def json_of(*inputs, **more):
    return json.dumps({"inputs": list(inputs), **more}, separators=(",", ":")).encode(), None


def input_of(name, datatype, shape, data, **more):
    return {"name": name, "datatype": datatype, "shape": shape, "data": data, **more}


def raw_of(name, datatype, shape, raw):
    head = {"name": name, "datatype": datatype, "shape": shape}
    head["parameters"] = {"binary_data_size": len(raw)}
    text = json.dumps({"inputs": [head]}).encode()
    return text + raw, str(len(text))


def one_long(name, *, known):
    """One long text among many short ones."""
    short = "a" if known else "short"
    texts = ["x" * SIZE, *[short] * (SIZE // 8)]
    return input_of(name, "BYTES", [len(texts)], texts)


def raw_texts(name, texts):
    raw = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    return raw_of(name, "BYTES", [len(texts)], raw)


REQUESTS = {
    "one long text": json_of(one_long("text", known=False)),
    "one long text and a category": json_of(one_long("kind", known=True)),
    "one long text twice": json_of(one_long("text", known=False), one_long("kind", known=False)),
    "many unknown texts": json_of(
        input_of("kind", "BYTES", [SIZE // 8], [f"{n:05}" for n in range(SIZE // 8)])
    ),
    "raw texts": raw_texts("text", [b"x" * SIZE, *[b"ab"] * (SIZE // 6)]),
    "raw categories": raw_texts("kind", [b"x" * SIZE, *[b"a"] * (SIZE // 5)]),
    "empty texts": raw_texts("text", [b""] * (SIZE // 4)),
    "not UTF-8": raw_texts("text", [*[b"ab"] * (SIZE // 6), b"\xff"]),
    "empty rows": json_of(input_of("free", "FP32", [2**31, 0], [])),
    "empty rows raw": raw_of("free", "FP32", [2**39, 0], b""),
    "empty arrays": json_of(input_of("free", "FP32", [SIZE // 3, 0], [[]] * (SIZE // 3))),
    "small numbers": raw_of("code", "INT8", [SIZE], b"\1" * SIZE),
    "small numbers as floats": raw_of("free", "FP64", [SIZE // 8, 1], bytes(SIZE)),
    "half numbers": raw_of("free", "BF16", [1, SIZE // 2], bytes(SIZE)),
    "numbers": json_of(input_of("free", "FP32", [1, SIZE // 2], [1] * (SIZE // 2))),
    "nested numbers": json_of(input_of("free", "FP32", [SIZE // 4, 1], [[1]] * (SIZE // 4))),
    "nested deeply": json_of(input_of("free", "FP32", [1] * 32, json.loads("[" * 900 + "]" * 900))),
    "mixed numbers": json_of(
        input_of("free", "FP32", [1, SIZE // 2], [*[1] * (SIZE // 2 - 1), "x" * SIZE])
    ),
    "another shape": json_of(input_of("free", "FP32", [2**20, 2**19], [1] * (SIZE // 2))),
    "many inputs": json_of(*({} for _ in range(SIZE // 3))),
    "many names": json_of(
        *(input_of(f"n{n}", "FP32", [0], []) for n in range(SIZE // 56)),
    ),
    "one name": json_of(*(input_of("x", "FP32", [0], []) for _ in range(SIZE // 50))),
    "long names": json_of(*(input_of("x" * (SIZE // 20 + n), "A", [1], [1]) for n in range(20))),
    "many outputs": json_of(outputs=[{"name": "y"}] * (SIZE // 13)),
    "many parameters": json_of(parameters={f"explain_{n}": n for n in range(SIZE // 16)}),
    "a long parameter": json_of(parameters={"explain": "\0" * (SIZE // 6)}),
    "a deep parameter": json_of(parameters={"explain": json.loads("[" * 900 + "]" * 900)}),
    "a long dimension": json_of(input_of("free", "FP32", ["x" * SIZE], [1])),
    "many dimensions": json_of(input_of("free", "FP32", [1] * (SIZE // 2), [1])),
}  # fmt: skip


def taken(body, length, schema=SCHEMA):
    """Return bytes of memory taken by decoding and checking a request, and how it ended."""
    tracemalloc.start()
    try:
        request = request_of(body, length)
        schema = InputSchema({n: f for n, f in schema.fields.items() if n in request.tensors})
        if not schema.fields:
            schema = SCHEMA
        return schema.check(request.tensors, request.datatypes, request.bad), memory()
    except Malformed as refused:
        return str(refused), memory()
    finally:
        tracemalloc.stop()


def memory():
    return tracemalloc.get_traced_memory()[1]


@pytest.mark.parametrize("name", REQUESTS)
def test_memory_grows_with_the_bytes_of_a_request(name):
    body, length = REQUESTS[name]
    result, used = taken(body, length)
    assert used < BASE + FACTOR * len(body)
    assert not isinstance(result, str) or len(result) <= 4000


def test_texts_stay_as_long_as_each_is_in_a_batch():
    """What goes to the transformers is linear too: no array of fixed width is made of it."""
    body, length = REQUESTS["one long text"]
    batch, _ = taken(body, length)
    column = batch["text"]
    assert column.dtype == object
    tracemalloc.start()
    stacked = np.concatenate([column, column])
    assert memory() < 64 * len(stacked)
    tracemalloc.stop()


@pytest.mark.parametrize("rows", [1, 2**31, 2**39])
def test_rows_without_any_value_are_refused(rows):
    body, length = raw_of("free", "FP32", [rows, 0], b"")
    result, _ = taken(body, length)
    assert result == f"{rows} rows, and no input holds a value of them"


def test_no_rows_are_taken():
    body, length = raw_of("free", "FP32", [0, 4], b"")
    batch, _ = taken(body, length)
    assert batch["free"].shape == (0, 4)


def test_empty_rows_are_taken_where_another_input_has_values():
    schema = InputSchema({"free": SCHEMA.fields["free"], "text": SCHEMA.fields["text"]})
    request = Request(
        "", {"free": np.zeros((2, 0), "f4"), "text": np.array([b"a", b"b"], object)}, {}
    )
    batch = schema.check(request.tensors, {"free": "FP32", "text": "BYTES"})
    assert len(batch["free"]) == 2


def test_a_model_of_many_inputs_is_told_of_some_that_are_missing():
    fields = {f"feature_{n}": Field(f"feature_{n}", "float32") for n in range(20000)}
    with pytest.raises(Malformed, match="19980 further inputs are missing") as told:
        InputSchema(fields).check({"x": np.zeros(1)}, {"x": "FP64"})
    assert len(str(told.value)) <= 4000


def test_a_request_of_many_texts_and_a_long_one_is_answered_in_bounds(toys, running):
    """216 kB that took 3.4 GB: what the server takes for them, from the socket to the answer."""
    toys.add("texts", 1, Schema((Field("x", "str"),)))
    server = running("texts")
    texts = ["z" * 100_000, *["ab"] * 22_000]
    body, _ = json_of(input_of("x", "BYTES", [len(texts)], texts))
    tracemalloc.start()
    status, _, answer = server.ask("POST", "/v2/models/texts/infer", body)
    used = memory()
    tracemalloc.stop()
    assert (status, json.loads(answer)["outputs"][0]["data"]) == (200, texts)
    assert used < 16 * BASE
    assert server.ask("GET", "/v2/health/live")[0] == 200
