"""A proxy before an S3 endpoint that fails as it is told."""

import http.client
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Proxy(ThreadingHTTPServer):
    """Forwards requests, and fails where `fault` says so.

    Attributes:
        fault: Called with method and path of each request. It returns None to forward it;
            a status, or one and a body; a number of seconds to wait before forwarding it; or
            one of ``drop``
            (close the connection without an answer), ``lost`` (forward the request, and
            lose the answer) and ``cut`` (half of the answer's body).
        ignored: Headers that are not forwarded.
        seen: ``(method, path)`` of each request.
    """

    daemon_threads = True

    def __init__(self, url):
        super().__init__(("127.0.0.1", 0), Forward)
        self.target = urlsplit(url).netloc
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.fault = lambda method, path: None
        self.ignored = set()
        self.seen = []

    def handle_error(self, request, client_address):
        """A client that hangs up is what is tested here."""


class Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path))
        fault = self.server.fault(self.command, self.path)
        if isinstance(fault, float):
            time.sleep(fault)
            fault = None
        if fault == "drop":
            self.close_connection = True
        elif isinstance(fault, tuple):
            self.answer(fault[0], {}, fault[1])
        elif isinstance(fault, int):
            self.answer(fault, {}, b"<Error><Code>Busy</Code><Message>Not now</Message></Error>")
        else:
            self.finish_with(fault, *self.asked(body))

    def asked(self, body):
        connection = http.client.HTTPConnection(self.server.target, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in self.server.ignored}
        connection.request(self.command, self.path, body, headers)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        return response, data

    def finish_with(self, fault, response, data):
        if fault == "lost":
            self.close_connection = True
            return
        length = response.headers.get("Content-Length", str(len(data)))
        dropped = {"content-length", "transfer-encoding", "connection"}
        headers = {k: v for k, v in response.headers.items() if k.lower() not in dropped}
        half = data[: len(data) // 2] if fault == "cut" else data
        self.answer(response.status, headers, half, length)
        if fault == "cut":
            self.close_connection = True

    def answer(self, status, headers, data, length=None):
        self.send_response_only(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", length or str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward

    def log_message(self, *words):
        """Say nothing."""


@contextmanager
def proxy(url):
    """Run a proxy before this endpoint."""
    with Proxy(url) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
