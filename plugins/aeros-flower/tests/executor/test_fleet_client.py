"""A controller cannot have a node send what it has to another address."""

import http.server
import threading

import pytest

from aeros_flower.executor.fleet_client import FleetClient, Lost


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status):
    asked = []

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.server.server_port)
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("location", f"http://127.0.0.1:{ports[1]}{self.path}")
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_):
            pass

    servers = [http.server.HTTPServer(("127.0.0.1", 0), Elsewhere) for _ in range(2)]
    ports = [server.server_port for server in servers]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    try:
        with pytest.raises(Lost):
            FleetClient(f"127.0.0.1:{ports[0]}", insecure=True)
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()
    assert set(asked) == {ports[0]}
