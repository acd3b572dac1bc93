"""A server in several processes: one in what it serves, says and counts; what dies is replaced."""

import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import onnx
import pytest
import tritonclient.grpc
from onnx import TensorProto, helper
from process_tree import children

CONNECTIONS = 24
"""Connections that a change is looked at through: all on one of two workers is one in 8 million."""


def graph(path, factor):
    """Write a graph that multiplies by a factor."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])
    constant = helper.make_tensor("factor", TensorProto.FLOAT, [], [float(factor)])
    node = helper.make_node("Mul", ["x", "factor"], ["y"])
    made = helper.make_graph([node], "toy", [x], [y], [constant])
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)]), path)


@pytest.fixture
def stored(aeros, tmp_path_factory):
    """The model toy, whose version N multiplies by N: 1 is tagged production."""
    kept, here = tmp_path_factory.getbasetemp() / "toys", aeros.folder / "aeros-repository"
    if kept.exists():  # made by a test before
        shutil.copytree(kept, here)
        return aeros
    for version in (1, 2, 3):
        graph(aeros.folder / "toy.onnx", version)
        aeros("models", "import", "toy.onnx", "--name", "toy")
    aeros("models", "tag", "toy:1", "production")
    shutil.copytree(here, kept)
    return aeros


@pytest.fixture
def workers(stored, serve):
    """Start a server of two workers: ``workers("serving.poll=0.1")``."""

    def start(*words, model="toy:production"):
        return serve(f"model={model}", "serving.workers=2", *words)

    return start


TIMEOUT = "serving.worker_timeout=3"


def refused(server, path, body=None):
    """Return the status of a request; 0: its connection was closed, as its worker has ended."""
    try:
        return ask(server, path, body)[0]
    except OSError:
        return 0


def stopped(server):
    """Stop one of two workers, as if it hung; return the id of its process, and of the other."""
    hung, other = pids(server)
    os.kill(hung, signal.SIGSTOP)
    return hung, other


def until_replaced(server, hung, other):
    """Wait until a worker has taken the place of one that hung."""
    until(lambda: not alive(hung))
    until(lambda: len(pids(server)) == 2 and hung not in pids(server))
    assert other in pids(server)
    assert f"(process {hung}) has not responded for 3 s, and is killed" in server.said


def pids(server):
    """Return the workers that are there now."""
    return children(server.process.pid)


def alive(pid):
    """Tell whether a process runs; one that has ended and is not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def ask(server, path, body=None):
    """Return status and body of one request, on a connection of its own."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(f"http://{server.http}{path}", data, 60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


ROW = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 1.0]}]}


def versions(server):
    """Return what answers now, through many connections: versions, checked, or a status."""
    found = set()
    for _ in range(CONNECTIONS):
        status, body = ask(server, "/v2/models/toy/infer", ROW)
        if status == 200:
            answer = json.loads(body)
            assert answer["outputs"][0]["data"] == [float(answer["model_version"])] * 2
            found.add(answer["model_version"])
        else:
            found.add(status)
    return found


def load(server, version):
    return ask(server, "/v2/repository/models/toy/load", {"parameters": {"version": version}})


def metric(server, name):
    """Return the sum of a metric's samples."""
    text = ask(server, "/metrics")[1].decode()
    return sum(float(x) for x in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M))


def until(what, seconds=120.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_change_is_in_force_in_all_workers_before_the_reply(workers):
    server = workers("serving.poll=0")
    assert versions(server) == {"1"}
    for version in ("2", "3", "1"):
        assert load(server, version)[0] == 200
        assert versions(server) == {version}
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        client.unload_model("toy")
        assert versions(server) == {404}
        client.load_model("toy")  # by the tag that it was first loaded by
        assert versions(server) == {"1"}
    status, body = load(server, "7")
    assert (status, json.loads(body)["error"]) == (
        404,
        "model 'toy' has no version 7; versions: 1, 2, 3",
    )
    assert versions(server) == {"1"}
    index = json.loads(ask(server, "/v2/repository/index", {})[1])
    assert [each["state"] for each in index] == ["READY", "UNAVAILABLE", "UNAVAILABLE"]


def test_a_version_that_cannot_be_loaded_changes_no_worker(stored, workers):
    server = workers("serving.poll=0")
    folder = stored.folder / "aeros-repository"
    first, third = (
        set(re.findall(r"[0-9a-f]{64}", (folder / f"models/toy/{version}.json").read_text()))
        for version in (1, 3)
    )
    assert third - first
    for digest in third - first:
        for path in (folder / "blobs" / digest).glob("c.*"):
            path.write_bytes(b"damaged")
    assert load(server, "3")[0] >= 500
    assert versions(server) == {"1"}
    assert metric(server, "aeros_load_failures_total") == 1
    assert ask(server, "/v2/health/ready")[0] == 200


def test_tags_and_canaries_are_followed_by_all_workers(stored, workers):
    server = workers("serving.poll=0.1", "serving.canary=next", "serving.canary_share=0.5")
    assert versions(server) == {"1"}
    stored("models", "tag", "toy:2", "production")
    until(lambda: versions(server) == {"2"})
    stored("models", "tag", "toy:3", "next")
    until(lambda: "3" in versions(server))
    assert versions(server) == {"2", "3"}
    stored("models", "tag", "toy:3", "production")
    until(lambda: versions(server) == {"3"})
    assert server.said.count("version 2 answers") == 1  # the supervisor says it, not each worker


class Load:
    """Clients that ask without pause, each on a connection that it keeps."""

    def __init__(self, server, clients=6):
        self.server, self.ended = server, threading.Event()
        self.found, self.closed = [], 0
        self.threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _ask(self):
        connection = http.client.HTTPConnection(self.server.http, timeout=60)
        while not self.ended.is_set():
            asked = time.monotonic()
            try:
                connection.request("POST", "/v2/models/toy/infer", json.dumps(ROW))
                answer = connection.getresponse()
                told = json.loads(answer.read())
            except (OSError, http.client.HTTPException):
                self.closed += 1
                connection.close()
                continue
            self.found.append((asked, answer.status, told.get("model_version")))
        connection.close()

    def since(self, moment):
        """Return statuses and versions of requests that were sent after a moment."""
        return {(status, version) for asked, status, version in self.found if asked > moment}

    def __enter__(self):
        until(lambda: len(self.found) > 50)
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(60)


def test_no_request_fails_while_models_change_and_none_is_answered_by_the_version_before(workers):
    server = workers("serving.poll=0")
    with Load(server) as traffic:
        for version in ("2", "3", "1", "2"):
            assert load(server, version)[0] == 200
            changed = time.monotonic()
            until(lambda moment=changed: len(traffic.since(moment)) > 0)
            time.sleep(0.2)
            assert traffic.since(changed) == {(200, version)}
    assert {status for _, status, _ in traffic.found} == {200}
    assert traffic.closed == 0


def test_metrics_statistics_and_drift_are_those_of_all_workers(workers):
    server = workers()
    rows = np.random.default_rng(1).normal(3, 1, (40, 2)).astype(np.float32)
    for row in rows:
        body = {"inputs": [{**ROW["inputs"][0], "data": row.tolist()}]}
        assert ask(server, "/v2/models/toy/infer", body)[0] == 200
    assert ask(server, "/v2/models/toy/infer", {"inputs": []})[0] == 400
    assert metric(server, "aeros_requests_total") == 40
    assert metric(server, "aeros_errors_total") == 1
    assert metric(server, "aeros_total_seconds_count") == 40
    assert metric(server, "aeros_workers") == 2
    assert 2 < metric(server, "aeros_input_mean") < 4
    for _ in range(CONNECTIONS):  # whichever is asked
        stats = json.loads(ask(server, "/v2/models/toy/versions/1/stats")[1])["model_stats"]
        assert [each["inference_count"] for each in stats] == [40]
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        (told,) = client.get_inference_statistics("toy", as_json=True)["model_stats"]
        assert told["inference_stats"]["success"]["count"] == "40"
        assert told["inference_stats"]["fail"]["count"] == "1"


def test_a_worker_that_dies_is_replaced_and_the_others_go_on(workers):
    server = workers("serving.poll=0")
    assert load(server, "2")[0] == 200  # the replacement has to know
    before = pids(server)
    assert len(before) == 2
    with Load(server) as traffic:
        answered = metric(server, "aeros_requests_total")
        os.kill(before[0], signal.SIGKILL)
        until(lambda: not alive(before[0]))
        killed = time.monotonic()
        until(lambda: len(traffic.since(killed)) > 0)
        assert ask(server, "/v2/health/ready")[0] == 200  # those that listen are
        until(lambda: metric(server, "aeros_workers") == 2)
        time.sleep(0.3)
        assert metric(server, "aeros_requests_total") >= answered
    assert {(status, version) for _, status, version in traffic.found} == {(200, "2")}
    assert 0 < traffic.closed <= 12  # each client of it once, or anew while it was ending
    after = pids(server)
    assert (len(after), before[1] in after, before[0] in after) == (2, True, False)
    assert versions(server) == {"2"}
    assert metric(server, "aeros_worker_restarts_total") == 1
    assert f"worker 1 (process {before[0]}) has ended: signal SIGKILL; another" in server.said or (
        f"worker 2 (process {before[0]}) has ended: signal SIGKILL; another" in server.said
    )


def test_a_worker_that_is_told_to_end_answers_first_and_is_replaced(workers):
    server = workers("serving.delay=1.5")
    before = pids(server)
    with Waiting(server, 8) as waiting:
        for pid in before:
            os.kill(pid, signal.SIGTERM)
    assert waiting.statuses == [200] * 8
    until(lambda: len(set(pids(server)) - set(before)) == 2)
    until(lambda: answers(server))
    assert server.said.count("has ended: exit code 0; another takes its place") == 2


def test_a_worker_that_hangs_is_replaced(workers):
    server = workers(TIMEOUT, "serving.poll=0")
    hung, other = stopped(server)
    until_replaced(server, hung, other)
    until(lambda: metric(server, "aeros_workers") == 2)
    assert metric(server, "aeros_worker_restarts_total") == 1
    assert ask(server, "/v2/health/ready")[0] == 200
    assert versions(server) == {"1"}


def test_changes_wait_for_a_worker_that_hangs_until_it_is_replaced(stored, workers):
    server = workers(TIMEOUT, "serving.poll=0.1")
    stored("models", "tag", "toy:3", "production")
    until(lambda: versions(server) == {"3"})
    changes = {
        "2": lambda: refused(server, path + "load", {"parameters": {"version": "2"}}),
        "1": lambda: stored("models", "tag", "toy:1", "production") and 200,
        404: lambda: refused(server, path + "unload", {}),
    }
    path = "/v2/repository/models/toy/"
    for after, change in changes.items():
        hung, other = stopped(server)
        # The reply is an error, as the worker has ended, or the connection was one of that worker.
        until(lambda change=change: change() in (200, 404))
        until_replaced(server, hung, other)
        until(lambda after=after: answers(server, after))
        until(lambda: metric(server, "aeros_workers") == 2)
        if after == "2":  # the tag is followed again
            assert load(server, "production")[0] == 200


def test_readiness_and_metrics_do_not_wait_for_a_worker_that_hangs(workers):
    server = workers("serving.worker_timeout=0")  # it is not replaced
    assert ask(server, "/v2/health/ready")[0] == 200
    hung, _ = stopped(server)
    time.sleep(0.2)  # readiness is known for 0.1 s
    try:
        connections = [
            http.client.HTTPConnection(server.http, timeout=60) for _ in range(CONNECTIONS)
        ]
        for connection in connections:
            connection.request("GET", "/v2/health/live")
        found = []
        for connection in connections:  # those of the worker that hangs do not reply
            if not select.select([connection.sock], [], [], 1.0)[0]:
                continue
            connection.getresponse().read()
            for path in ("/v2/health/ready", "/metrics"):
                connection.request("GET", path)
                answer = connection.getresponse()
                found.append((path, answer.status))
                answer.read()
            break
        assert found == [("/v2/health/ready", 503), ("/metrics", 200)]
    finally:
        for connection in connections:
            connection.close()
        os.kill(hung, signal.SIGCONT)
    until(lambda: ask(server, "/v2/health/ready")[0] == 200)


def test_the_end_does_not_wait_for_a_worker_that_hangs(workers):
    server = workers("serving.worker_timeout=0", "serving.drain=1")
    there = pids(server)
    stopped(server)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=120) == 0
    assert not any(map(alive, there))


@pytest.fixture
def endless(aeros):
    """A model that repeats a step as often as the largest value of a row says."""
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 2]) for n in "xy")
    number, on, before = (
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("number", TensorProto.INT64, []),
            ("on", TensorProto.BOOL, []),
            ("before", TensorProto.FLOAT, ["n", 2]),
        )
    )
    after = helper.make_tensor_value_info("after", TensorProto.FLOAT, ["n", 2])
    same = helper.make_tensor_value_info("same", TensorProto.BOOL, [])
    steps = [
        helper.make_node("Identity", ["on"], ["same"]),
        helper.make_node("Abs", ["before"], ["after"]),
    ]
    body = helper.make_graph(steps, "step", [number, on, before], [same, after])
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["times"], to=TensorProto.INT64),
        helper.make_node("Loop", ["times", "", "x"], ["y"], body=body),
    ]
    made = helper.make_graph(nodes, "endless", [x], [y])
    proto = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, aeros.folder / "endless.onnx")
    aeros("models", "import", "endless.onnx", "--name", "endless")
    return {"inputs": [{**ROW["inputs"][0], "data": [1e15, 1e15]}]}


def test_a_worker_in_an_endless_loop_is_replaced(endless, serve):
    server = serve("model=endless", "serving.workers=2", "serving.where=inline", TIMEOUT)
    before = pids(server)
    assert refused(server, "/v2/models/endless/infer", endless) == 0
    until(lambda: len(set(before) - set(pids(server))) == 1)
    (hung,) = set(before) - set(pids(server))
    until_replaced(server, hung, *(set(before) - {hung}))


@pytest.mark.parametrize("count", [1, 2])
def test_a_model_that_never_returns_holds_up_neither_an_unload_nor_the_end(endless, serve, count):
    words = ["model=endless", "serving.where=thread", "serving.drain=1", "serving.poll=0"]
    server = serve(*words, f"serving.workers={count}")
    for _ in range(2):
        asking = threading.Thread(
            target=refused, args=(server, "/v2/models/endless/infer", endless), daemon=True
        )
        asking.start()
        until(lambda: metric(server, "aeros_queue_depth") == 0)
        time.sleep(0.5)
        assert ask(server, "/v2/repository/models/endless/unload", {})[0] == 200
        assert "model 'endless' is unloaded, and still computes after serving.drain" in server.said
        assert ask(server, "/v2/repository/models/endless/load", {})[0] == 200
    there = pids(server)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=120) == 0
    assert not any(map(alive, there))


def answers(server, version="1"):
    try:
        return versions(server) == {version}
    except OSError:
        return False


class Waiting:
    """Requests that wait for company in their batch while something else happens."""

    def __init__(self, server, count):
        self.statuses = []
        self.threads = [
            threading.Thread(target=self._ask, args=(server,), daemon=True) for _ in range(count)
        ]

    def _ask(self, server):
        self.statuses.append(ask(server, "/v2/models/toy/infer", ROW)[0])

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        time.sleep(0.5)
        assert self.statuses == []
        return self

    def __exit__(self, *_):
        for thread in self.threads:
            thread.join(60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_at_the_end_all_workers_answer_what_they_have(workers, number):
    server = workers("serving.delay=1.5")
    there = pids(server)
    with Waiting(server, 8) as waiting:
        server.process.send_signal(number)
    assert waiting.statuses == [200] * 8
    assert server.process.wait(timeout=60) == 0
    assert not any(map(alive, there))
    assert "ending: what was asked is answered first" in server.said
    assert "Traceback" not in server.said


def test_workers_end_with_the_supervisor(workers):
    server = workers()
    there = pids(server)
    server.process.kill()
    server.process.wait(timeout=60)
    until(lambda: not any(map(alive, there)))
    assert "Traceback" not in server.said


def test_workers_that_end_again_and_again_end_the_server(workers):
    server = workers()

    def killed():
        for pid in pids(server):
            os.kill(pid, signal.SIGKILL)
        return server.process.poll() is not None

    until(killed)
    assert server.process.returncode == 1
    assert re.search(
        r"^aeros: worker processes end soon after their start, 8 times in a row; the last with"
        r" signal SIGKILL$",
        server.said,
        re.M,
    )
    assert "serving.workers=1 serves in one process" in server.said


def test_what_one_process_refuses_several_refuse_in_the_same_words(stored):
    words = ["serve", "serving.http_port=0", "serving.grpc_port=0"]
    for wrong in (["model=tay"], ["model=toy:9"], ["model=toy", "repository.path=nowhere"]):
        said = [stored(*words, *wrong, *more, code=2) for more in ([], ["serving.workers=2"])]
        assert said[0] == said[1], wrong


def test_a_port_that_is_taken_is_refused(stored, workers):
    server = workers()
    port = server.http.rpartition(":")[2]
    for more in ([], ["serving.workers=2"]):
        said = stored.apart(
            "serve", "model=toy", f"serving.http_port={port}", "serving.grpc_port=0", *more, code=2
        )
        assert f"serving.http_port={port} cannot be opened on 127.0.0.1" in said
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        words = ["model=toy", "serving.workers=2", "serving.http_port=0"]
        said = stored.apart("serve", *words, f"serving.grpc_port={port}", code=2)
        assert f"serving.grpc_port={port} cannot be opened on 127.0.0.1" in said


def test_numeric_libraries_of_a_worker_take_its_share_of_the_processors(workers):
    server = workers()
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    for pid in pids(server):
        told = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', share)}".encode() in told
