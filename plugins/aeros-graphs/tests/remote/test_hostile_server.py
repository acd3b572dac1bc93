"""Servers that answer in pieces, too much, too slowly, too early, or something else."""

import os
import socket
import ssl
import threading
import time
import tracemalloc
from contextlib import contextmanager, suppress

import pytest

from aeros_core.errors import AerosError
from aeros_graphs.remote import connection
from aeros_graphs.remote.connection import _Reply
from aeros_graphs.remote.http_client import HttpClient, Unreachable

HEAD = b"HTTP/1.1 200 OK\r\n"
WHOLE = HEAD + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@contextmanager
def behaving(*acts, host="127.0.0.1"):
    """Serve a connection by each function in turn; yields the address, and what failed there."""
    with socket.create_server((host, 0)) as listening:
        clients = []

        def serve():
            for act in acts:
                with suppress(OSError):  # the client had enough
                    client, _ = listening.accept()
                    clients.append(client)
                    with client:
                        act(client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://{host}:{listening.getsockname()[1]}"
        finally:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            for client in clients:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def client(url, ca=None):
    made = HttpClient(url, "NO_TOKEN", ca)
    try:
        yield made
    finally:
        made.close()


def more(sock):
    """Return what comes next."""
    if not (data := sock.recv(2**16)):
        raise ConnectionError
    return data


def request(sock):
    """Read a request up to its end."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += more(sock)
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += more(sock)
    return head, body


def saying(data):
    def act(sock):
        request(sock)
        sock.sendall(data)
        sock.recv(1)

    return act


def repeating(start, again):
    """Send something without end."""

    def act(sock):
        request(sock)
        sock.sendall(start)
        while True:
            sock.sendall(again)

    return act


def dripping(data, seconds=0.02):
    def act(sock):
        request(sock)
        for at in range(len(data)):
            sock.sendall(data[at : at + 1])
            time.sleep(seconds)

    return act


@pytest.mark.parametrize("answer", [WHOLE, CHUNKED + b"2;a\r\nhe\r\n3\r\nllo\r\n0\r\nT: 1\r\n\r\n"])
def test_an_answer_may_come_byte_by_byte(answer):
    with behaving(dripping(answer, 0)) as url, client(url) as made:
        found = made.post("/x", b"body", {}, 20)
    assert found.body == b"hello"
    assert "t" not in found.headers  # what follows the body is none of them


FLOODS = {
    "headers": (HEAD, b"A: b\r\n" * 1000),
    "one header": (HEAD + b"A: ", b"b" * 10_000),
    "status line": (b"HTTP/1.1 200 ", b"x" * 10_000),
    "1xx": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "early hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" * 1000),
    "trailers": (CHUNKED + b"0\r\n", b"A: b\r\n" * 1000),
    "one trailer": (CHUNKED + b"2\r\nhe\r\n0\r\nA: ", b"b" * 10_000),
    "chunk extension": (CHUNKED + b"2;", b"a" * 10_000),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_what_is_no_body_has_an_end(flood):
    with (
        behaving(repeating(*flood)) as url,
        client(url) as made,
        pytest.raises((AerosError, Unreachable), match=r"headers of more than|no HTTP/1.1 answer"),
    ):
        made.post("/x", b"", {}, 60)


BODIES = {
    "length": (HEAD + b"Content-Length: 999999999\r\n\r\n", b"x" * 10_000),
    "to the end": (HEAD + b"\r\n", b"x" * 10_000),
    "chunks": (CHUNKED, b"1000\r\n" + b"x" * 4096 + b"\r\n"),
    "small chunks": (CHUNKED, b"1\r\nx\r\n" * 1000),
}


@pytest.mark.parametrize("flood", BODIES.values(), ids=BODIES)
def test_a_body_has_an_end(flood, monkeypatch):
    monkeypatch.setattr(connection, "LARGEST", 300_000)
    with (
        behaving(repeating(*flood)) as url,
        client(url) as made,
        pytest.raises(AerosError, match="more than 300,000 bytes"),
    ):
        made.post("/x", b"", {}, 60)


def test_small_chunks_take_no_more_memory_than_they_hold():
    reply, piece = _Reply(), b"2\r\nab\r\n" * 8192
    reply.feed(CHUNKED)
    tracemalloc.start()
    for _ in range(32):
        reply.feed(piece)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(reply.body) == 2 * 8192 * 32
    assert held < 2 * len(reply.body)


SHORT = {
    "length": WHOLE[:-1],
    "chunks": CHUNKED + b"2\r\nhe\r\n",
    "half a chunk": CHUNKED + b"5\r\nhe",
    "half a header": HEAD + b"Content-Le",
}


@pytest.mark.parametrize("answer", SHORT.values(), ids=SHORT)
def test_an_answer_that_ends_early_is_none(answer):
    def act(sock):
        request(sock)
        sock.sendall(answer)

    with (
        behaving(act) as url,
        client(url) as made,
        pytest.raises(Unreachable, match="closed the connection before its answer was whole"),
    ):
        made.post("/x", b"", {}, 20)


WRONG = {
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "length and chunks": CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "negative": HEAD + b"Content-Length: -5\r\n\r\nhello",
    "huge": HEAD + b"Content-Length: 99999999999999999999\r\n\r\nhello",
    "huge chunk": CHUNKED + b"fffffffffffffffffff\r\n",
    "too long": WHOLE + b", and more",
    "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46",
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG)
def test_lengths_that_contradict_and_other_protocols(answer):
    with (
        behaving(saying(answer)) as url,
        client(url) as made,
        pytest.raises(Unreachable, match=r"no HTTP/1.1 answer"),
    ):
        made.post("/x", b"", {}, 20)


DRIPS = {
    "status": b"HTTP/1.1 200 OKOKOKOKOKOKOKOKOKOKOKOKOKOKOK",
    "headers": HEAD + b"A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    "body": HEAD + b"Content-Length: 500\r\n\r\n" + b"x" * 100,
    "chunk size": CHUNKED + b"0" * 100,
    "1xx": b"HTTP/1.1 100 Continue\r\n\r\n" * 5,
}


@pytest.mark.parametrize("answer", DRIPS.values(), ids=DRIPS)
def test_who_drips_keeps_nobody_beyond_the_deadline(answer):
    started = time.monotonic()
    with (
        behaving(dripping(answer)) as url,
        client(url) as made,
        pytest.raises(Unreachable, match=r"no answer within 0.3 s"),
    ):
        made.post("/x", b"", {}, 0.3)
    assert time.monotonic() - started < 20


def hold(sock):
    """Take nothing, for longer than the client waits."""
    sock.recv(1, socket.MSG_PEEK)
    time.sleep(1)


def sip(sock):
    """Take a little again and again."""
    for _ in range(20):
        sock.recv(1000)
        time.sleep(0.05)


@pytest.mark.parametrize("act", [hold, sip])
def test_who_takes_a_request_slowly_keeps_nobody_beyond_the_deadline(act):
    with (
        behaving(act) as url,
        client(url) as made,
        pytest.raises(Unreachable, match=r"no answer within 0.4 s"),
    ):
        made.post("/x", bytes(2**25), {}, 0.4)


def test_a_handshake_that_drips_keeps_nobody_beyond_the_deadline():
    def act(sock):
        sock.recv(2**16)
        for byte in b"\x16\x03\x03\x40\x00" + bytes(100):
            sock.sendall(bytes([byte]))
            time.sleep(0.02)

    with (
        behaving(act) as url,
        client(url.replace("http:", "https:")) as made,
        pytest.raises(Unreachable, match=r"no answer within 0.3 s"),
    ):
        made.post("/x", b"", {}, 0.3)


def test_a_large_request_over_tls_meets_the_deadline(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    def act(sock):
        with context.wrap_socket(sock, server_side=True) as spoken:
            sip(spoken)

    with (
        behaving(act) as url,
        client(url.replace("http:", "https:"), str(certificate / "cert.pem")) as made,
        pytest.raises(Unreachable, match=r"no answer within 0.4 s"),
    ):
        made.post("/x", bytes(2**25), {}, 0.4)


def test_a_server_that_refuses_before_it_has_read_all_is_heard():
    def act(sock):
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nbody")
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(2**16):
            pass

    with behaving(act) as url, client(url) as made:
        answer = made.post("/x", bytes(2**25), {}, 60)
    assert (answer.status, answer.body) == (413, b"body")


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"], ids=["end", "408"]
)
def test_what_came_while_a_connection_was_idle_is_no_answer(said):
    closed = threading.Event()

    def act(sock):
        request(sock)
        sock.sendall(WHOLE)
        time.sleep(0.05)
        sock.sendall(said)
        sock.close()
        closed.set()

    with behaving(act, saying(WHOLE)) as url, client(url) as made:
        assert made.post("/x", b"", {}, 20).status == 200
        assert closed.wait(20)
        assert made.post("/x", b"", {}, 20).status == 200


def test_an_address_that_hangs_leaves_time_for_the_next(monkeypatch):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:  # until no more are taken
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(full.getsockname())
        with behaving(saying(WHOLE)) as url:
            good = ("127.0.0.1", int(url.rpartition(":")[2]))
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            found = [(*kind, full.getsockname()), (*kind, good)]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
            with client("http://two.example") as made:
                assert made.post("/x", b"", {}, 2).body == b"hello"
        for one in waiting:
            one.close()


def test_the_environment_names_no_proxy(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert os.environ["http_proxy"]
    with behaving(saying(WHOLE)) as url, client(url) as made:
        assert made.post("/x", b"", {}, 20).body == b"hello"
