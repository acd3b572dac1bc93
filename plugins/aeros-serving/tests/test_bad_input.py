"""What may be wrong with a request, in both protocols: each is told, and the server goes on."""

import contextlib
import json
import socket

import grpc
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

CLIENTS = {"http": tritonclient.http, "grpc": tritonclient.grpc}
ROW = np.array([[1, 2, 3]], np.float32)


class OutOfMemoryError(RuntimeError):
    """What torch raises where a GPU has no room, by its name."""


@pytest.fixture(params=CLIENTS)
def ask(request, running):
    """A function that asks the toy model; ``ask.server`` and ``ask.kind`` are what it asks."""
    triton = CLIENTS[request.param]
    server = running(max_body=4096)
    with triton.InferenceServerClient(f"127.0.0.1:{getattr(server, request.param)}") as client:

        def infer(rows=ROW, name="x", datatype="FP32", model="toy", version=""):
            tensor = triton.InferInput(name, list(rows.shape), datatype)
            tensor.set_data_from_numpy(rows)
            return client.infer(model, [tensor], version).as_numpy("scores")

        infer.kind, infer.server = request.param, server
        yield infer


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        ({"model": "other"}, ("404", "NOT_FOUND"), "model 'other' is not loaded; models: toy"),
        (
            {"version": "9"},
            ("404", "NOT_FOUND"),
            "model 'toy' has no version '9' loaded; versions: 1",
        ),
        ({"name": "y"}, ("400", "INVALID_ARGUMENT"), "input 'x' is missing"),
        (
            {"rows": ROW.astype(np.int64) + 2**24, "datatype": "INT64"},
            ("400", "INVALID_ARGUMENT"),
            "input 'x': 16777217 in row 0 does not fit FP32 exactly, and datatype INT64 was sent",
        ),
        (
            {"rows": ROW[:, :2]},
            ("400", "INVALID_ARGUMENT"),
            "input 'x': shape [1, 2], not [rows, 3]",
        ),
        (
            {"rows": ROW * np.float32(np.nan)},
            ("400", "INVALID_ARGUMENT"),
            "input 'x': NaN or infinity in row 0",
        ),
        ({"rows": np.ones((999, 3), np.float32)}, ("413", "RESOURCE_EXHAUSTED"), "4"),
        ({"rows": ROW * 0 + 14}, ("503", "RESOURCE_EXHAUSTED"), "out of memory: no room"),
    ],
    ids=["name", "version", "missing", "datatype", "shape", "NaN", "oversized", "memory"],
)
def test_it_is_told_and_the_server_goes_on(ask, asked, status, told):
    with pytest.raises(InferenceServerException) as caught:
        ask(**asked)
    assert told in caught.value.message()
    number, name = status
    expected = number if ask.kind == "http" else f"StatusCode.{name}"
    assert caught.value.status() == expected
    np.testing.assert_array_equal(ask(), 2 * ROW)


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_a_device_without_room_is_told(toys, ask, monkeypatch, error):
    _, inferencer = toys.repository.all["toy", 1]
    right = inferencer.predict

    def full(batch):
        if (batch["x"] == 7).any():
            raise error
        return right(batch)

    monkeypatch.setattr(inferencer, "predict", full)
    with pytest.raises(InferenceServerException) as caught:
        ask(ROW * 0 + 7)
    assert caught.value.message() == f"out of memory: {error}"
    assert caught.value.status() == (
        "503" if ask.kind == "http" else "StatusCode.RESOURCE_EXHAUSTED"
    )
    np.testing.assert_array_equal(ask(), 2 * ROW)


@pytest.mark.parametrize(
    "sent",
    [b"", b"PRI * HTTP/2.0\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 5000,
     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x04\x00\x00\x00\x00\x00"],
    ids=["nothing", "half a preface", "HTTP/1.1", "zeros", "a frame without end"],
)  # fmt: skip
@pytest.mark.parametrize("ends", [True, False], ids=["half-closed", "open"])
def test_clients_that_speak_no_grpc_harm_nobody(running, sent, ends):
    server = running()
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", server.grpc), 10))
            sock.sendall(sent)
            if ends:
                sock.shutdown(socket.SHUT_WR)
        with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{server.grpc}") as client:
            tensor = tritonclient.grpc.InferInput("x", [1, 3], "FP32")
            tensor.set_data_from_numpy(ROW)
            answer = client.infer("toy", [tensor], client_timeout=30)
            np.testing.assert_array_equal(answer.as_numpy("scores"), 2 * ROW)


@pytest.mark.parametrize(
    ("name", "version", "told"),
    [
        ("toy", "2", "model 'toy' has no version 2; versions: 1"),
        ("toy", "9" * 3000, "model 'toy' has no version 99999999999999999999; versions: 1"),
        ("toy", "production", "model 'toy' has no tag 'production'; tags: none"),
        ("nobody", "", "model 'nobody' is not in the repository; models: toy"),
        ("nobody", "1", "model 'nobody' is not in the repository; models: toy"),
    ],
)
def test_what_does_not_exist_cannot_be_loaded(ask, name, version, told):
    status, said = load(ask, name, version)
    assert status == (404 if ask.kind == "http" else grpc.StatusCode.NOT_FOUND)
    assert told in said
    np.testing.assert_array_equal(ask(), 2 * ROW)


def load(ask, name, version):
    """Ask the repository for a version that it refuses; return status and text."""
    if ask.kind == "http":
        body = json.dumps({"parameters": {"version": version}} if version else {})
        status, _, answer = ask.server.ask("POST", f"/v2/repository/models/{name}/load", body)
        return status, json.loads(answer)["error"]
    asked = service_pb2.RepositoryModelLoadRequest(model_name=name)
    if version:
        asked.parameters["version"].string_param = version
    with grpc.insecure_channel(f"127.0.0.1:{ask.server.grpc}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.RepositoryModelLoad(asked)
    return caught.value.code(), caught.value.details()
