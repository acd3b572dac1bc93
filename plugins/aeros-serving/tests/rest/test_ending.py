"""The end of a server: idle connections are closed, responses in progress are sent."""

import json
import socket
import threading
import time

from aeros_serving.config import Where

HALF_HEAD = b"POST /v2/models/toy/infer HTTP/1.1\r\nhost: a\r\n"


def connected(server):
    return socket.create_connection(("127.0.0.1", server.http), 20)


def read(sock):
    found = b""
    while piece := sock.recv(65536):
        found += piece
    return found


def test_connections_that_wait_do_not_hold_the_end_up(running):
    server = running(drain=30.0)
    with connected(server) as silent, connected(server) as idle, connected(server) as head:
        idle.sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: a\r\n\r\n")
        assert b"200 OK" in idle.recv(1000)
        head.sendall(HALF_HEAD)
        with connected(server) as body:
            body.sendall(HALF_HEAD + b"content-length: 100\r\n\r\nabc")
            time.sleep(0.2)
            start = time.monotonic()
            server.stop()
            assert time.monotonic() - start < 15
            assert silent.recv(100) == b""
            assert idle.recv(100) == b""
            for half in (head, body):
                answer = read(half)
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {
                    "error": "the server is about to end"
                }


def test_what_is_being_answered_is_answered_and_closed(toys, running):
    inferencer = toys.repository.all["toy", 1][1]
    server = running(where=Where.thread, drain=30.0)
    inferencer.sizes.clear()
    inferencer.gate.clear()
    with connected(server) as sock:
        sock.sendall(server.request())
        while not inferencer.sizes:
            time.sleep(0.01)
        ending = threading.Thread(target=server.stop)
        ending.start()
        time.sleep(0.2)
        inferencer.gate.set()
        answer = read(sock)
        ending.join(60)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"\r\nconnection: close\r\n" in answer


def test_no_model_is_not_ready(running):
    server = running()
    assert server.ask("POST", "/v2/repository/models/toy/unload")[0] == 200
    for path, told in (
        ("/v2/health/ready", {"ready": False}),
        ("/v2/models/toy/ready", {"name": "toy", "ready": False}),
    ):
        status, _, body = server.ask("GET", path)
        assert (status, json.loads(body)) == (503, told)
    assert server.ask("GET", "/v2/health/live")[0] == 200
    assert server.ask("GET", "/v2/models/other/ready")[0] == 404


def test_a_model_that_cannot_be_loaded_keeps_no_other_down(toys, running, caplog):
    toys.add("broken", 1)
    whole = toys.repository.all["broken", 1]
    toys.repository.all["broken", 1] = (None, None)
    server = running("broken", "gone", "toy")
    assert server.infer()[0] == 200
    assert server.ask("GET", "/v2/health/ready")[0] == 200
    status, _, body = server.ask("GET", "/v2/models/broken/ready")
    assert (status, json.loads(body)) == (503, {"name": "broken", "ready": False})
    entries = json.loads(server.ask("POST", "/v2/repository/index")[2])
    told = {entry["name"]: (entry["state"], entry["reason"]) for entry in entries}
    assert told["toy"] == ("READY", "")
    assert told["broken"] == ("UNAVAILABLE", "version 1 of model 'broken' is damaged")
    assert "'gone' is not in the repository" in told["gone"][1]
    logged = [r.getMessage() for r in caplog.records if "are served" in r.getMessage()]
    assert ["broken" in text or "gone" in text for text in logged] == [True, True]
    toys.repository.all["broken", 1] = whole
    assert server.ask("POST", "/v2/repository/models/broken/load")[0] == 200
    assert server.ask("GET", "/v2/models/broken/ready")[0] == 200
