"""Explanations on request, in both protocols, beside the batches of others."""

import socket
import struct
import threading
import time

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from aeros_serving import metadata

CLIENTS = {"http": tritonclient.http, "grpc": tritonclient.grpc}
ROWS = np.array([[1, 2, 3], [6, 5, 4]], np.float32)
ASKED = {"explain": "integrated_gradients"}


@pytest.fixture(params=CLIENTS)
def ask(request, running):
    """A function that asks the toy model to explain itself."""
    triton = CLIENTS[request.param]
    server = running()
    with triton.InferenceServerClient(f"127.0.0.1:{getattr(server, request.param)}") as client:

        def infer(rows=ROWS, outputs=None, parameters=ASKED, **more):
            tensor = triton.InferInput("x", list(rows.shape), "FP32")
            tensor.set_data_from_numpy(rows)
            wanted = [triton.InferRequestedOutput(name) for name in outputs or ()] or None
            return client.infer("toy", [tensor], outputs=wanted, parameters=parameters, **more)

        infer.kind, infer.server = request.param, server
        yield infer


def test_each_value_has_its_share(ask):
    answer = ask()
    np.testing.assert_array_equal(answer.as_numpy("scores"), 2 * ROWS)
    np.testing.assert_array_equal(answer.as_numpy("label"), [2, 0])
    shares = answer.as_numpy("x.attribution")
    assert (shares.dtype, shares.shape) == (np.float32, ROWS.shape)
    np.testing.assert_array_equal(shares, [[0, 0, 6], [12, 0, 0]])
    np.testing.assert_array_equal(answer.as_numpy("base.attribution"), [0, 0])
    assert b'aeros_explanations_total{model="toy",version="1"} 1' in ask.server.ask(
        "GET", "/metrics"
    )[2]  # fmt: skip
    assert ask(parameters={}).as_numpy("x.attribution") is None


@pytest.mark.parametrize(("target", "column"), [(1, 1), ("b", 1), (0, 0)])
def test_target_steps_and_baseline(toys, ask, target, column):
    more = {"explain_target": target, "explain_steps": 7, "explain_baseline": 0.5}
    answer = ask(parameters=ASKED | more)
    shares, base = answer.as_numpy("x.attribution"), answer.as_numpy("base.attribution")
    np.testing.assert_array_equal(shares.sum(1) + base, 2 * ROWS[:, column])
    np.testing.assert_array_equal(base, [1, 1])
    assert toys.repository.all["toy", 1][1].explaining[-1] == 7


def test_outputs_are_chosen_among_them_too(ask):
    answer = ask(outputs=["x.attribution"])
    assert answer.as_numpy("scores") is None
    assert answer.as_numpy("x.attribution").shape == ROWS.shape
    with pytest.raises(InferenceServerException, match="is asked for, and none of its outputs"):
        ask(outputs=["scores"])


def test_it_is_said_in_json_too(running):
    _, told = running().infer(parameters=ASKED | {"explain_target": "c"})
    found = {each["name"]: each for each in told["outputs"]}
    assert found["x.attribution"]["data"] == [0, 0, 6]
    assert found["x.attribution"]["shape"] == [1, 3]
    assert found["base.attribution"]["data"] == [0]


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"explain": "shap"}, "parameter 'explain' is 'shap', not one of integrated_gradients"),
        ({"explain": True}, "parameter 'explain' is True, not one of integrated_gradients"),
        ({"explain_steps": 5}, "parameter 'explain_steps' goes with 'explain': integrated_gradi"),
        (ASKED | {"explain_target": 9}, "target 9 does not exist; exists: 0 to 2, or a, b, c"),
        (ASKED | {"explain_target": "z"}, "target 'z' does not exist"),
        (ASKED | {"explain_target": True}, "parameter 'explain_target' is a class, by number or"),
        (ASKED | {"explain_steps": 0}, "'explain_steps' is a number from 1 to 1000, not 0"),
        (ASKED | {"explain_steps": 1001}, "'explain_steps' is a number from 1 to 1000, not 1001"),
        (ASKED | {"explain_steps": "50"}, "is a number from 1 to 1000, not '50'"),
        (ASKED | {"explain_stps": 5}, "'explain_stps' does not exist; they are explain, explain_t"),
        (ASKED | {"explain_baseline": "0"}, "parameter 'explain_baseline' is a number, not '0'"),
    ],
)
def test_what_cannot_be_is_told(ask, parameters, told):
    with pytest.raises(InferenceServerException) as caught:
        ask(parameters=parameters)
    assert told in caught.value.message()
    assert caught.value.status() == ("400" if ask.kind == "http" else "StatusCode.INVALID_ARGUMENT")
    np.testing.assert_array_equal(ask(parameters={}).as_numpy("scores"), 2 * ROWS)


@pytest.mark.parametrize(
    ("value", "status", "told"),
    [
        (15, ("501", "UNIMPLEMENTED"), "explanations need captum, which is not installed"),
        (16, ("503", "RESOURCE_EXHAUSTED"), "out of memory: no room"),
    ],
)
def test_what_this_server_cannot_is_told(ask, value, status, told):
    with pytest.raises(InferenceServerException) as caught:
        ask(rows=ROWS * 0 + value)
    assert told in caught.value.message()
    assert caught.value.status() == (status[0] if ask.kind == "http" else f"StatusCode.{status[1]}")


def test_rows_and_steps_have_a_bound(ask):
    with pytest.raises(InferenceServerException) as caught:
        ask(rows=np.ones((101, 3), np.float32), parameters=ASKED | {"explain_steps": 1000})
    assert "101 rows times 1000 steps are 101000 gradients, and 100000" in caught.value.message()


class Waiting:
    """Requests for explanations that wait at the door, and others that pass."""

    def __init__(self, toys, server):
        self.inferencer, self.server = toys.repository.all["toy", 1][1], server
        self.inferencer.door.clear()
        self.answers, self.threads = [], []

    def ask(self, **more):
        def infer():
            self.answers.append(self.server.infer(parameters=ASKED | more)[0])

        self.threads.append(threading.Thread(target=infer))
        self.threads[-1].start()

    def until(self, count):
        end = time.monotonic() + 30
        explainer = self.server.server.models.queue("toy")._explainer
        while len(explainer._jobs) < count or not self.inferencer.explaining:
            assert time.monotonic() < end
            time.sleep(0.01)

    def open(self):
        self.inferencer.door.set()
        for thread in self.threads:
            thread.join(300)


def test_others_are_answered_while_one_is_explained(toys, running):
    waiting = Waiting(toys, running())
    waiting.ask()
    waiting.until(1)
    for _ in range(20):
        status, told = waiting.server.infer()
        assert (status, told["outputs"][0]["data"]) == (200, [2, 4, 6])
    assert waiting.answers == []
    waiting.open()
    assert waiting.answers == [200]


def test_too_many_that_wait_are_refused_and_late_ones_told(toys, running):
    waiting = Waiting(toys, running())
    waiting.ask()
    waiting.until(1)
    waiting.ask(timeout=1000)  # a millisecond
    for _ in range(14):
        waiting.ask()
    waiting.until(16)
    status, told = waiting.server.infer(parameters=ASKED)
    assert (status, told["error"]) == (429, "16 explanations of model 'toy' wait already")
    time.sleep(0.01)
    waiting.open()
    assert sorted(waiting.answers) == [200] * 15 + [504]
    assert waiting.server.infer()[0] == 200


def test_who_leaves_is_not_explained_and_the_end_waits_for_the_others(toys, running):
    waiting = Waiting(toys, running())
    waiting.ask()
    waiting.until(1)
    with socket.create_connection(("127.0.0.1", waiting.server.http)) as sock:
        sock.sendall(waiting.server.request(parameters=ASKED))
        waiting.until(2)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stopping = threading.Thread(target=waiting.server.stop)
    stopping.start()
    time.sleep(0.1)
    assert stopping.is_alive()
    waiting.open()
    stopping.join(300)
    assert waiting.answers == [200]
    assert len(waiting.inferencer.explaining) == 1
    errors = waiting.server.server.models.loaded("toy")[0].live.served.statistics.errors
    assert errors == {"Cancelled": 1}


@pytest.mark.parametrize("installed", [True, False])
def test_the_protocol_says_what_can_be_asked(running, monkeypatch, installed):
    monkeypatch.setattr(metadata.util, "find_spec", lambda name: installed or None)
    server = running()
    assert (b'"explanation"' in server.ask("GET", "/v2")[2]) is installed
    assert b"integrated_gradients" in server.ask("GET", "/openapi.json")[2]
    with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{server.grpc}") as client:
        assert ("explanation" in client.get_server_metadata().extensions) is installed
