"""A real socket on the other side, that says what a test tells it, byte by byte."""

import http.client
import io
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.errors import AerosError, ConfigError
from aeros_graphs.remote import connection
from aeros_graphs.remote.connection import Connection, _Reply
from aeros_graphs.remote.http_client import HttpClient, Unreachable

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\n\r\nhello"


@contextmanager
def saying(*answers, close=True):
    """Serve one connection: an answer for every request, then the end."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            client, _ = listening.accept()
            with client:
                for answer in answers:
                    asked.append(client.recv(2**16))
                    client.sendall(answer)
                if not close:
                    client.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        made = Connection("127.0.0.1", listening.getsockname()[1], None, time.monotonic() + 5)
        try:
            yield made, asked
        finally:
            made.close()
            thread.join()


def ask(made, body=b"body"):
    return made.ask(b"POST / HTTP/1.1\r\n\r\n", body, time.monotonic() + 5)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (WHOLE, True),
        (CHUNKED, True),
        (ENDLESS, False),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE, True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", False),
        (WHOLE.replace(b"X-A: b", b"Connection: close"), False),
    ],
    ids=["length", "chunks", "to the end", "continue", "1.0", "close"],
)
def test_an_answer_is_read_whole(answer, kept):
    with saying(answer) as (made, asked):
        got = ask(made)
    assert (got.status, got.body, made.kept) == (200, b"hello", kept)
    assert asked == [b"POST / HTTP/1.1\r\n\r\nbody"]  # in one packet


def test_answers_without_a_body():
    with saying(b"HTTP/1.1 204 No Content\r\n\r\n", WHOLE) as (made, _):
        assert (ask(made).status, ask(made).body) == (204, b"hello")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "closed the connection before"),
        (WHOLE[:-1], "closed the connection before"),
        (CHUNKED[:-4], "closed the connection before"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "closed the connection before"),
        (b"SSH-2.0-OpenSSH\r\n", "no HTTP/1.1 answer"),
        (WHOLE + WHOLE.replace(b"hello", b"other"), "a second one follows"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "no HTTP/1.1 answer"),
        (CHUNKED.replace(b"2\r\nhe", b"z\r\nhe"), "no HTTP/1.1 answer"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n", "no HTTP/1.1"),
    ],
    ids=["nothing", "cut", "cut chunks", "continue", "SSH", "two", "length", "chunk", "upgrade"],
)
def test_what_is_no_answer(answer, said):
    with saying(answer) as (made, _), pytest.raises(OSError, match=said):
        ask(made)
    assert not made.kept


def test_headers_without_end(monkeypatch):
    monkeypatch.setattr(connection, "LARGEST", 10_000)
    endless = b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 5_000
    with saying(endless) as (made, _), pytest.raises(AerosError, match="more than 10,000 bytes"):
        ask(made)


def test_time_is_up():
    with saying(WHOLE[:-1], close=False) as (made, _), pytest.raises(TimeoutError):
        made.ask(b"POST / HTTP/1.1\r\n\r\n", b"", time.monotonic() + 0.1)


@given(st.data(), st.sampled_from([WHOLE, CHUNKED, ENDLESS]))
def test_pieces_make_the_same_answer(data, answer):
    """Whatever the pieces, the answer is what the standard library reads."""
    cuts = data.draw(st.lists(st.integers(0, len(answer)), max_size=8).map(sorted))
    reply = _Reply()
    for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True):
        if start < end:
            reply.feed(answer[start:end])
    if not reply.whole:
        reply.feed(b"")
    peer = http.client.HTTPResponse(_Socket(answer))
    peer.begin()
    assert reply.status == peer.status
    assert reply.headers == {k.lower(): v for k, v in peer.getheaders()}
    assert reply.body == peer.read()


class _Socket:
    def __init__(self, data):
        self.data = data

    def makefile(self, _mode):
        return io.BytesIO(self.data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    reply = _Reply()
    try:
        reply.feed(b"HTTP/1.1 200 OK\r\n" + data)
        reply.feed(b"")
    except OSError:
        return
    assert reply.whole


@pytest.mark.parametrize(
    "url", ["http://a b", "http://a..b", "http://a/x y", "http://a/ü", "http:"]
)
def test_addresses_that_are_none(url):
    with pytest.raises(ConfigError, match="is no address of a server"):
        HttpClient(url, "NO_TOKEN", None)


def test_a_host_is_told_as_the_network_knows_it():
    told = {
        "http://[::1]:8080": "Host: [::1]:8080\r\n",
        "https://a": "Host: a\r\n",
        "http://bücher.example:1": "Host: xn--bcher-kva.example:1\r\n",
    }
    for url, host in told.items():
        assert HttpClient(url, "NO_TOKEN", None)._headers.startswith(host)


def test_a_large_body_is_sent_whole():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        got = []

        def serve():
            client, _ = listening.accept()
            with client:
                while sum(map(len, got)) < 2**20:
                    got.append(client.recv(2**16))
                client.sendall(WHOLE)

        thread = threading.Thread(target=serve)
        thread.start()
        endpoint = HttpClient(f"http://127.0.0.1:{listening.getsockname()[1]}", "NO_TOKEN", None)
        assert endpoint.post("/x", bytes(2**20), {}, 5).body == b"hello"
        thread.join()
        listening.close()
        with pytest.raises(Unreachable):  # nobody answers any more, on the kept one or another
            endpoint.post("/x", b"", {}, 1)
        endpoint.close()
    assert b"".join(got).partition(b"\r\n\r\n")[2] == bytes(2**20)
