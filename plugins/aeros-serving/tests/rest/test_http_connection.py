"""HTTP/1.1 with clients that are slow, half-closed, greedy, or no clients at all."""

import contextlib
import json
import re
import socket
import ssl
import struct
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aeros_serving.config import Where
from aeros_serving.rest.connection import protocol
from aeros_serving.rest.connection.protocol import HttpConnection

GET = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n"


def refusal(answer):
    """Return status and text of an answer that refuses and closes."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    return int(head.split()[1]), json.loads(body)["error"]


def read(client):
    """Return all that a client is sent until the connection ends."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(65536):
            found += piece
    return found


def infer(data=(1, 2, 3), more=""):
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": list(data)}
    body = json.dumps({"inputs": [tensor]}).encode()
    head = f"POST /v2/models/toy/infer HTTP/1.1\r\nhost: a\r\n{more}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def test_pipelined_requests_are_answered_in_order(running):
    answer = running().raw(infer((1, 0, 0)) + GET + infer((2, 0, 0), "connection: close\r\n"))
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.index(b"[2.0,0.0,0.0]") < answer.index(b"[4.0,0.0,0.0]")


def test_many_pipelined_requests_wait_their_turn(running):
    answer = running().raw(infer() * 50 + infer(more="connection: close\r\n"))
    assert answer.count(b"[2.0,4.0,6.0]") == 51


def test_bytes_may_come_one_by_one(running):
    server = running()
    with socket.create_connection(("127.0.0.1", server.http), timeout=20) as sock:
        for place in range(len(request := infer())):
            sock.send(request[place : place + 1])
        assert b"[2.0,4.0,6.0]" in sock.recv(65536)


def test_a_half_closed_client_gets_its_answer(running):
    answer = running().raw(infer(), end=True)
    assert b"[2.0,4.0,6.0]" in answer


@pytest.mark.parametrize("cut", [10, 60, -3])
def test_half_a_request_of_a_half_closed_client_is_told(running, cut):
    server = running()
    told = "the client closed before its request was whole"
    assert refusal(server.raw(infer()[:cut], end=True)) == (400, told)
    answer = server.raw(infer() + infer()[:cut], end=True)  # what came whole is answered
    assert b"[2.0,4.0,6.0]" in answer
    assert server.infer()[0] == 200


def test_half_a_request_does_not_cost_the_one_before_its_answer(running, toys):
    inferencer = toys.repository.all["toy", 1][1]
    server = running(where=Where.thread)
    inferencer.seconds = 0.3  # both have come long before the first is answered
    assert b"[2.0,4.0,6.0]" in server.raw(infer() + infer()[:10], end=True)


def test_a_body_without_room_is_told(running, monkeypatch):
    server = running()

    def full(_self, _body):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(HttpConnection, "on_body", full)
        told = "out of memory: the request has no room here"
        assert refusal(server.raw(infer(), end=True)) == (503, told)
    assert server.infer()[0] == 200


def test_a_body_that_is_too_large_is_refused_before_it_is_there(running):
    server = running(max_body=1000)
    head = b"POST /v2/models/toy/infer HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\n"
    assert refusal(server.raw(head, end=True)) == (
        413, "the body has 100,000,000 bytes or more, and 1,000 are taken",
    )  # fmt: skip
    chunk = b"%x\r\n%s\r\n" % (600, b" " * 600)
    head = b"POST /v2/models/toy/infer HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    assert refusal(server.raw(head + chunk * 2, end=True))[0] == 413
    assert server.infer()[0] == 200


def test_a_body_without_a_token_is_not_even_read(running, tmp_path):
    (tmp_path / "token").write_text("s3cret")
    server = running(token_file=str(tmp_path / "token"))
    head = b"POST /v2/models/toy/infer HTTP/1.1\r\nhost: a\r\ncontent-length: 60000000\r\n\r\n"
    answer = server.raw(head, end=True)
    assert refusal(answer) == (401, "the request bears no token that is known here")
    assert b"www-authenticate: Bearer" in answer


def test_a_client_beyond_the_limit_takes_the_place_of_who_waits_longest(running):
    server = running(max_connections=2)
    silent, idle = (socket.create_connection(("127.0.0.1", server.http), 20) for _ in range(2))
    with silent, idle:
        idle.sendall(GET)
        assert b"200 OK" in idle.recv(1000)
        with socket.create_connection(("127.0.0.1", server.http), 20) as third:
            third.sendall(GET)
            assert b"200 OK" in third.recv(1000)
            assert silent.recv(1000) == b""
            idle.sendall(GET)
            assert b"200 OK" in idle.recv(1000)


def test_half_a_request_that_gives_way_is_told(running):
    server = running(max_connections=1)
    with socket.create_connection(("127.0.0.1", server.http), 20) as half:
        half.sendall(infer()[:-4])
        assert b"200 OK" in server.raw(GET, end=True)
        assert refusal(read(half)) == (
            503, "the connection waited longest, and another one came",
        )  # fmt: skip


def test_a_client_is_refused_where_all_others_are_being_answered(toys, running):
    inferencer = toys.repository.all["toy", 1][1]
    server = running(max_connections=1, where=Where.thread)
    with held(server, inferencer) as first:
        answer = server.raw(b"")
        assert refusal(answer) == (503, "1 clients are being answered already")
        assert b"\r\nretry-after: 1\r\n" in answer
        inferencer.gate.set()
        assert b"200 OK" in first.recv(65536)


def test_chunks_make_a_body(running):
    head, _, body = infer(more="transfer-encoding: chunked\r\n").partition(b"\r\n\r\n")
    head = b"\r\n".join(line for line in head.split(b"\r\n") if b"length" not in line)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    assert b"[2.0,4.0,6.0]" in running().raw(head + b"\r\n\r\n" + chunks, end=True)


def test_headers_without_end_are_refused(running):
    server = running()
    status, told = refusal(server.raw(b"GET /v2 HTTP/1.1\r\n" + b"a: b\r\n" * 20_000, end=True))
    assert status == 431
    assert told == "the headers are more than 256"


@pytest.mark.parametrize(
    "piece",
    [b"POST / HTTP/1.1\r\nhost: a\r\n", b"POST / HTTP/1.1\r\nhost: ", b"POST /",
     b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1;a=",
     b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"],
    ids=["headers", "a header", "a path", "a chunk's head", "trailers"],
)  # fmt: skip
def test_what_comes_piece_by_piece_has_an_end_too(running, piece):
    more = b"b: c\r\n" * 200 if piece.endswith(b"\r\n") else b"d" * 1200
    with socket.create_connection(("127.0.0.1", running().http), 10) as sock:
        sock.sendall(piece)
        sock.settimeout(0.002)
        found = b""
        for _ in range(200):
            sock.sendall(more)
            try:
                found = sock.recv(65536)
            except TimeoutError:
                continue
            break
        assert refusal(found)[0] == 431


def test_trailers_say_nothing(running):
    head, _, body = infer(more="transfer-encoding: chunked\r\n").partition(b"\r\n\r\n")
    head = b"\r\n".join(line for line in head.split(b"\r\n") if b"length" not in line)
    chunk = b"%x\r\n%s\r\n0\r\n" % (len(body), body)
    tail = b"inference-header-content-length: 1\r\n\r\n"
    assert b"[2.0,4.0,6.0]" in running().raw(head + b"\r\n\r\n" + chunk + tail, end=True)


def test_a_slow_client_is_sent_away(running):
    server = running(read_timeout=0.4)
    start = time.monotonic()
    assert refusal(server.raw(infer()[:40], wait=20))[0] == 408
    assert refusal(server.raw(infer()[:-4], wait=20))[0] == 408
    assert server.raw(b"", wait=20) == b""
    assert time.monotonic() - start < 20
    assert server.infer()[0] == 200


@pytest.mark.parametrize("whole", [40, -4], ids=["headers", "body"])
def test_clients_that_drip_are_sent_away_and_delay_nobody(running, whole):
    """Slow loris: a byte now and then keeps no connection open beyond its time."""
    server, ended = running(read_timeout=0.6), threading.Event()
    with contextlib.ExitStack() as stack:
        address = ("127.0.0.1", server.http)
        clients = [stack.enter_context(socket.create_connection(address, 20)) for _ in range(30)]

        def drip():
            for byte in infer()[:whole] * 50:
                for client in clients:
                    with contextlib.suppress(OSError):
                        client.send(bytes([byte]))
                if ended.wait(0.02):
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        while len(server.server._http.connections) < 30:
            time.sleep(0.01)
        for _ in range(10):
            assert server.infer()[0] == 200
        refusals = [read(client) for client in clients]
        ended.set()
        dripping.join(300)
    assert {status for status, _ in map(refusal, refusals)} == {408}
    assert server.infer()[0] == 200


def test_a_client_that_asks_nothing_more_is_sent_away(running):
    assert running(idle_timeout=0.3, read_timeout=0.4).raw(GET, wait=20).count(b"200 OK") == 1


def test_a_client_that_was_refused_and_sends_on_is_closed(running, tmp_path, monkeypatch):
    monkeypatch.setattr(protocol, "LINGER", 0.3)
    (tmp_path / "token").write_text("s3cret")
    server = running(token_file=str(tmp_path / "token"), read_timeout=1.0)
    with socket.create_connection(("127.0.0.1", server.http), 20) as sock:
        sock.sendall(infer() + infer()[:-4] + GET)
        assert read(sock).count(b"HTTP/1.1 ") == 1
        until = time.monotonic() + 30
        while server.server._http.connections:
            assert time.monotonic() < until
            with contextlib.suppress(OSError):
                sock.send(GET)
            time.sleep(0.05)


def test_a_client_that_reads_no_answer_is_given_up(running, caplog):
    server = running(idle_timeout=0.6)
    with socket.create_connection(("127.0.0.1", server.http), 20) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(0.2)
        asked = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 20_000
        with contextlib.suppress(OSError):
            sock.sendall(asked)
        until = time.monotonic() + 30
        while server.server._http.connections:
            assert time.monotonic() < until
            time.sleep(0.02)
    assert server.infer()[0] == 200
    assert not caplog.records


def test_a_client_that_reads_slowly_gets_all(running):
    server = running(idle_timeout=0.6)
    with socket.create_connection(("127.0.0.1", server.http), 20) as sock:
        asked = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"
        sending = threading.Thread(target=sock.sendall, args=[asked * 600])
        sending.start()
        found, answers = b"", 0
        while answers < 600:
            time.sleep(0.01)
            found += sock.recv(2**18)
            answers += found.count(b"HTTP/1.1 200 OK")
            found = found[-14:] if not found.endswith(b"OK") else b""
        sending.join(60)


def test_who_expects_to_be_asked_is_asked(running):
    server = running()
    with socket.create_connection(("127.0.0.1", server.http), timeout=20) as sock:
        head, _, body = infer(more="expect: 100-continue\r\n").partition(b"\r\n\r\n")
        sock.sendall(head + b"\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert b"[2.0,4.0,6.0]" in sock.recv(65536)


@pytest.mark.parametrize(
    "data", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"]
)
def test_another_protocol_is_refused(running, data):
    assert refusal(running().raw(data, end=True))[0] == 400


def test_an_upgrade_is_refused(running):
    head = b"GET /v2 HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    server = running()
    assert b" 400 " in server.raw(head, wait=0.5) or b" 200 " in server.raw(head, wait=0.5)
    assert server.infer()[0] == 200


def held(server, inferencer):
    """Return the connection of a request that is computed until the gate is opened."""
    inferencer.sizes.clear()
    inferencer.gate.clear()
    first = socket.create_connection(("127.0.0.1", server.http))
    first.sendall(infer())
    while not inferencer.sizes:
        time.sleep(0.01)
    return first


def test_a_client_that_leaves_is_not_computed(toys, running):
    inferencer = toys.repository.all["toy", 1][1]
    server = running(where=Where.thread, max_batch=1)
    first = held(server, inferencer)
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.http)) as sock:
            sock.sendall(infer())
            lane = server.server.models.queue("toy")
            while not lane.waiting:
                time.sleep(0.01)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    time.sleep(0.2)
    inferencer.gate.set()
    assert b"200 OK" in first.recv(65536)
    first.close()
    assert server.infer()[0] == 200
    assert inferencer.sizes == [1, 1]
    assert server.server.models.queue("toy").served.statistics.errors == {"Cancelled": 3}


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_who_closes_is_not_computed_and_who_only_sends_no_more_is(toys, running, version):
    inferencer = toys.repository.all["toy", 1][1]
    server = running(where=Where.thread, max_batch=1)
    lane = server.server.models.queue("toy")
    first = held(server, inferencer)
    half = socket.create_connection(("127.0.0.1", server.http), timeout=20)
    half.sendall(infer((2, 0, 0)).replace(b"HTTP/1.1", b"HTTP/" + version.encode()))
    half.shutdown(socket.SHUT_WR)
    closed = socket.create_connection(("127.0.0.1", server.http))
    closed.sendall(infer())
    while lane.waiting < 2:
        time.sleep(0.01)
    closed.close()
    until = time.monotonic() + 10
    while len(server.server._http.connections) > 2 and time.monotonic() < until:
        time.sleep(0.01)
    inferencer.gate.set()
    answer = read(half)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\n") == (version == "1.1")
    assert b"HTTP/1.1 200 OK" in answer
    assert b"[4.0,0.0,0.0]" in answer
    assert b"200 OK" in first.recv(65536)
    first.close()
    half.close()
    while lane.waiting:
        time.sleep(0.01)
    assert inferencer.sizes == [1, 1]
    assert lane.served.statistics.errors == {"Cancelled": 1}


WORDS = [
    b"GET ", b"POST ", b"/v2 ", b"/v2/models/toy/infer ", b"HTTP/1.1\r\n", b"\r\n", b"\r\n\r\n",
    b"content-length: 5\r\n", b"content-length: -5\r\n", b"transfer-encoding: chunked\r\n",
    b"inference-header-content-length: 3\r\n", b"5\r\n{}{}{\r\n", b"{}", b"0\r\n\r\n", GET,
]  # fmt: skip

PIECES = st.lists(
    st.one_of(
        st.sampled_from(WORDS),
        st.binary(max_size=20),
    ),
    max_size=10,
).map(b"".join)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(PIECES)
def test_no_bytes_do_harm(fuzzed, data):
    statuses = re.findall(rb"HTTP/1\.1 (\d{3}) ", fuzzed.raw(data, end=True))
    assert all(status < b"500" for status in statuses)
    assert fuzzed.infer()[0] == 200


def test_tls(running, pair):
    paths = pair
    server = running(certificate=str(paths[0]), key=str(paths[1]), host="localhost")
    context = ssl.create_default_context(cafile=str(paths[0]))
    plain = socket.create_connection(("localhost", server.http), timeout=20)
    with context.wrap_socket(plain, server_hostname="localhost") as sock:
        sock.sendall(infer(more="connection: close\r\n"))
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    assert b"[2.0,4.0,6.0]" in answer
    assert b"200 OK" not in server.raw(GET, wait=5)
