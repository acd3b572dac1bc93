"""The client of `serving.py`: so many requests at a time, each as soon as the last is answered.

    python serving_load.py {rest|grpc} PORT PATH_OR_METHOD REQUEST_FILE CONCURRENCY SECONDS

REQUEST_FILE holds the bytes of a whole HTTP request, or of a message. Prints a line of JSON:
requests, seconds, how many were not answered well, and latencies in milliseconds.
"""

import asyncio
import json
import math
import sys
import time
from pathlib import Path

import uvloop

WARM = 0.5
"""Seconds that are not counted."""


class Client(asyncio.Protocol):
    """One connection that asks the same again and again."""

    def __init__(self, request, record):
        self.request, self.record = request, record
        self.buffer = bytearray()
        self.need = -1
        self.on = True

    def connection_made(self, transport):
        self.transport = transport
        self.ask()

    def ask(self):
        self.start = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data):
        self.buffer += data
        if self.need < 0:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self.buffer[:end]).lower()
            if (place := head.find(b"content-length:") + 15) < 15:  # chunks are not read here
                self.on = False
                self.record(self.start, False)
                return
            length = head[place:].partition(b"\r\n")[0]
            self.need = end + 4 + int(length)
        if len(self.buffer) >= self.need:
            self.record(self.start, self.buffer[9:12] == b"200")
            self.buffer, self.need = bytearray(), -1
            if self.on:
                self.ask()

    def connection_lost(self, exc):
        if self.on:
            self.record(self.start, False)


async def rest(port, _path, request, concurrency, seconds, record):
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(concurrency):
        _, client = await loop.create_connection(lambda: Client(request, record), "127.0.0.1", port)
        clients.append(client)
    await asyncio.sleep(seconds)
    for client in clients:
        client.on = False


class GrpcClient(asyncio.Protocol):
    """One connection of HTTP/2 that calls the same again and again, one call at a time.

    grpcio's own client takes as much of a core as a server does; this one leaves it to the
    servers. What it sends is what RFC 9113 and gRPC ask for, with headers that enter no table.
    """

    def __init__(self, method, message, record):
        self.record, self.on, self.stream, self.got = record, True, -1, 0
        self.buffer = bytearray()
        self.head = b"\x83\x86" + _said(b":path", method.encode()) + _said(b":authority", b"a")
        self.head += _said(b"content-type", b"application/grpc") + _said(b"te", b"trailers")
        self.body = b"\0" + len(message).to_bytes(4, "big") + message

    def connection_made(self, transport):
        self.transport = transport
        room = (2**31 - 2**16).to_bytes(4, "big")
        hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        transport.write(hello + _frame(4, 0, 0, b"") + _frame(8, 0, 0, room))
        self.ask()

    def ask(self):
        self.start, self.got = time.perf_counter(), 0
        self.stream += 2
        self.transport.write(
            _frame(1, 4, self.stream, self.head) + _frame(0, 1, self.stream, self.body)
        )

    def data_received(self, data):
        buffer, place = self.buffer, 0
        buffer += data
        while len(buffer) - place >= 9:
            end = place + 9 + int.from_bytes(buffer[place : place + 3], "big")
            if end > len(buffer):
                break
            self.take(buffer[place + 3], buffer[place + 4], bytes(buffer[place + 9 : end]))
            place = end
        del buffer[:place]

    def take(self, kind, flags, content):
        if kind == 0:
            self.got += len(content)
        elif kind == 4 and not flags & 1:
            self.transport.write(_frame(4, 1, 0, b""))
        elif kind == 6 and not flags & 1:
            self.transport.write(_frame(6, 1, 0, content))
        if (kind in (0, 1) and flags & 1) or kind in (3, 7):
            self.record(self.start, self.got > 5)  # a call that failed brings no message
            if self.on:
                self.ask()

    def connection_lost(self, exc):
        if self.on:
            self.record(self.start, False)


def _said(name, value):
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def _frame(kind, flags, stream, body):
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


async def grpc_(port, method, request, concurrency, seconds, record):
    loop, clients = asyncio.get_running_loop(), []
    for _ in range(concurrency):
        made = GrpcClient(method, request, record)
        await loop.create_connection(lambda made=made: made, "127.0.0.1", port)
        clients.append(made)
    await asyncio.sleep(seconds)
    for client in clients:
        client.on = False


def main():
    kind, port, path, file, concurrency, seconds = sys.argv[1:]
    request = Path(file).read_bytes()
    began = time.perf_counter() + WARM
    took, bad = [], 0

    def record(start, good):
        nonlocal bad
        if start >= began:
            took.append(time.perf_counter() - start)
        bad += not good

    work = rest if kind == "rest" else grpc_
    loop = uvloop.new_event_loop()
    loop.run_until_complete(
        work(int(port), path, request, int(concurrency), float(seconds) + WARM, record)
    )
    took.sort()
    took = took or [float("nan")]
    at = {f"p{p}": took[min(len(took) - 1, len(took) * p // 100)] * 1e3 for p in (50, 95, 99)}
    done = sum(not math.isnan(each) for each in took)
    print(json.dumps({"requests": done, "seconds": float(seconds), "bad": bad, **at}))


if __name__ == "__main__":
    main()
