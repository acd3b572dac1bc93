"""A gate with the SuperLink behind it, on another port of this machine."""

import asyncio
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from aeros_flower.http.reverse_proxy import ReverseProxy


class Echo(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(418)
        self.send_header("x-said", self.headers["x-says"])
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[::-1])

    def log_message(self, *_):
        pass


@pytest.fixture
def behind():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def asked(port, *bodies):
    """Return status, headers and body of a POST in these parts."""
    waiting = [
        {"type": "http.request", "body": body, "more_body": i + 1 < len(bodies)}
        for i, body in enumerate(bodies)
    ]
    sent = []

    async def receive():
        return waiting.pop(0)

    async def send(event):
        sent.append(event)

    async def run():
        forward = ReverseProxy(port)
        headers = [(b"x-says", b"hello"), (b"host", b"elsewhere"), (b"content-length", b"3")]
        scope = {"type": "http", "method": "POST", "path": "/v1/fleet/x", "headers": headers}
        await forward(scope, receive, send)
        await forward._client.aclose()

    asyncio.run(run())
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


def test_a_request_and_its_answer_pass(behind):
    status, headers, body = asked(behind, b"ab", b"c")
    assert (status, body) == (418, b"cba")
    assert headers[b"x-said"] == b"hello"
    assert headers[b"content-length"] == b"3"
    assert b"connection" not in headers


def test_where_nobody_listens_one_may_ask_again():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert asked(port, b"x") == (503, {b"content-length": b"0"}, b"")
