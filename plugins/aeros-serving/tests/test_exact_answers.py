"""What clients send and get is exact, in both protocols, from the socket to the model and back."""

import json

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from aeros_core.schema import Field, Schema
from aeros_serving.config import NonFinite

CLIENTS = {"http": tritonclient.http, "grpc": tritonclient.grpc}
COLUMN = Schema((Field("x", "float32"),))


class Echo:
    """Predicts what it is given."""

    def predict(self, batch):
        return {"echo": batch["x"]}


class Odd:
    """Predicts NaN and infinity beside a number."""

    def predict(self, batch):
        rows = len(batch["x"])
        return {
            "odd": np.tile(np.array([1, np.nan, np.inf], "f4"), (rows, 1)),
            "even": np.ones(rows),
        }


@pytest.fixture
def served_by(toys, running):
    """Serve an inferencer for fields as they are given: ``served_by(Echo(), Schema(...))``."""

    def serve(inferencer, schema=COLUMN, **options):
        toys.add("toy", 1, schema)
        toys.repository.all["toy", 1] = (toys.repository.all["toy", 1][0], inferencer)
        return running("toy", **options)

    return serve


def ask(server, rows, datatype, *, kind="http", binary=True):
    triton = CLIENTS[kind]
    tensor = triton.InferInput("x", list(rows.shape), datatype)
    tensor.set_data_from_numpy(rows, **({"binary_data": binary} if kind == "http" else {}))
    with triton.InferenceServerClient(f"127.0.0.1:{getattr(server, kind)}") as client:
        wanted = None if binary else [triton.InferRequestedOutput("echo", binary_data=False)]
        return client.infer("toy", [tensor], outputs=wanted).as_numpy("echo")


WAYS = [("http", True), ("http", False), ("grpc", True)]


@pytest.mark.parametrize(("kind", "binary"), WAYS)
def test_unsigned_integers_of_64_bits(served_by, kind, binary):
    rows = np.array([2**63, 2**64 - 1, 0], np.uint64)
    server = served_by(Echo(), Schema((Field("x", "uint64"),)))
    assert ask(server, rows, "UINT64", kind=kind, binary=binary).tolist() == rows.tolist()


@pytest.mark.parametrize(("kind", "binary"), WAYS)
def test_texts_with_zeros_at_their_end(served_by, kind, binary):
    rows = np.array([b"a\0\0", b"\0", b"", "größe".encode()], dtype=object)
    server = served_by(Echo(), Schema((Field("x", "str"),)))
    found = ask(server, rows, "BYTES", kind=kind, binary=binary)
    found = [text if isinstance(text, bytes) else text.encode() for text in found]
    assert found == rows.tolist()


@pytest.mark.parametrize(("kind", "binary"), WAYS)
@pytest.mark.parametrize("shape", [(3,), (3, 1)])
@pytest.mark.parametrize(("dtype", "datatype"), [("f8", "FP64"), ("i8", "INT64")])
def test_columns_of_a_data_frame(served_by, kind, binary, shape, dtype, datatype):
    rows = np.array([1, 2, -(2**24)], dtype).reshape(shape)
    found = ask(served_by(Echo()), rows, datatype, kind=kind, binary=binary)
    assert (found.dtype, found.tolist()) == (np.float32, [1, 2, -(2**24)])


@pytest.mark.parametrize(("kind", "binary"), WAYS)
def test_a_value_that_is_not_kept_is_told_with_its_row(served_by, kind, binary):
    server = served_by(Echo())
    with pytest.raises(InferenceServerException, match=r"0\.1 in row 1 does not fit FP32 exactly"):
        ask(server, np.array([0.5, 0.1]), "FP64", kind=kind, binary=binary)


def infer(server, **more):
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}], **more}
    status, headers, answer = server.ask("POST", "/v2/models/toy/infer", json.dumps(body))
    return status, {name.lower(): value for name, value in headers.items()}, answer


def test_nan_in_json_is_null_and_announced(served_by):
    status, headers, answer = infer(served_by(Odd()))
    outputs = {each["name"]: each["data"] for each in json.loads(answer)["outputs"]}
    assert (status, headers["aeros-non-finite"]) == (200, "odd")
    assert outputs == {"odd": [1.0, None, None], "even": [1.0]}


def test_nan_in_json_is_refused_where_the_option_says_so(served_by):
    server = served_by(Odd(), non_finite=NonFinite.refuse)
    status, headers, answer = infer(server)
    assert (status, "aeros-non-finite" in headers) == (500, False)
    assert json.loads(answer)["error"].startswith("NaN or infinity in 'odd', which JSON")
    status, headers, _ = infer(server, outputs=[{"name": "even"}])
    assert (status, "aeros-non-finite" in headers) == (200, False)
    assert infer(server, parameters={"binary_data_output": True})[0] == 200


def test_nan_travels_by_grpc(served_by):
    server = served_by(Odd(), non_finite=NonFinite.refuse)
    with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{server.grpc}") as client:
        tensor = tritonclient.grpc.InferInput("x", [1], "FP32")
        tensor.set_data_from_numpy(np.ones(1, np.float32))
        odd = client.infer("toy", [tensor]).as_numpy("odd")
    np.testing.assert_array_equal(odd, np.array([[1, np.nan, np.inf]], np.float32))
