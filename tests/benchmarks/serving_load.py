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


async def grpc_(port, method, request, concurrency, seconds, record):
    import grpc

    end = time.perf_counter() + seconds

    async def one():
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary(method)
            while (start := time.perf_counter()) < end:
                try:
                    await call(request)
                    record(start, True)
                except grpc.aio.AioRpcError:
                    record(start, False)

    await asyncio.gather(*(one() for _ in range(concurrency)))


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
