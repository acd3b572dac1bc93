"""Servers that ask other servers over a long link: several requests are on it at once."""

import asyncio
import json
import threading
import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

CLIENTS = 16


class Link:
    """A link that takes a while for each way, and can hold answers until so many are asked for."""

    def __init__(self, there, seconds=0.0):
        self.there, self.seconds = there.rpartition(":")[::2], seconds
        self.requests = self.binary_requests = self.binary_answers = self.until = 0

    async def connected(self, reader, writer):
        there, back = await asyncio.open_connection(*self.there)
        try:
            await asyncio.gather(self.pump(reader, back, True), self.pump(there, writer, False))
        except asyncio.CancelledError:  # else the loop prints one for each connection
            pass
        finally:
            back.close()
            writer.close()

    async def pump(self, reader, writer, asks):
        loop = asyncio.get_running_loop()
        while data := await reader.read(2**16):
            binary = b"inference-header-content-length" in data.lower()
            if asks and data.startswith(b"POST"):
                self.requests += 1
                self.binary_requests += binary
                if self.requests >= self.until:
                    self.open.set()
            elif not asks:
                self.binary_answers += binary
                await self.open.wait()
            loop.call_later(self.seconds, writer.write, data)
        await asyncio.sleep(self.seconds)
        writer.close()

    async def serve(self, started):
        """Serve until `end` is set; connections that are open then are cut."""
        self.loop, self.open, self.end = (
            asyncio.get_running_loop(),
            asyncio.Event(),
            asyncio.Event(),
        )
        self.open.set()
        server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        started.set_result(server.sockets[0].getsockname()[1])
        await self.end.wait()
        server.close()

    def hold(self, requests):
        """Let no answer through until so many further requests came."""

        def held():
            self.open.clear()
            self.until = self.requests + requests

        self.loop.call_soon_threadsafe(held)


@contextmanager
def linked(link):
    """Run a link in a thread of its own; yields its address."""
    started = Future()
    thread = threading.Thread(target=lambda: asyncio.run(link.serve(started)))
    thread.start()
    try:
        yield f"http://127.0.0.1:{started.result(30)}"
    finally:
        link.loop.call_soon_threadsafe(link.end.set)
        thread.join()


def predict(address, row):
    """Return the scores of one row of digits."""
    tensor = {"name": "image", "datatype": "FP32", "shape": [1, 8, 8], "data": row}
    body = json.dumps({"inputs": [tensor]}).encode()
    with urllib.request.urlopen(f"http://{address}/v2/models/digits/infer", body, 120) as back:
        (scores,) = [e for e in json.loads(back.read())["outputs"] if e["name"] == "scores"]
    return scores["data"]


GRAPHS = {
    "remote": ["inferencer=remote", "inferencer.url={url}", "inferencer.timeout=60"],
    "switch": [
        "inferencer=switch", "inferencer.order=[edge,cloud]", "inferencer.threshold=1.0",
        "+inferencer.members.edge={{}}", "+inferencer@inferencer.members.cloud.inferencer=remote",
        "inferencer.members.cloud.inferencer.url={url}",
        "inferencer.members.cloud.inferencer.timeout=60",
    ],
}  # fmt: skip


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_requests_of_several_clients_are_on_the_link_at_once(aeros, serve, graph):
    """No answer comes back before all have been asked for: one after the other none would."""
    aeros("run", "task.rounds=1")
    cloud = serve("model=digits")
    link = Link(cloud.http)
    with linked(link) as url:
        words = [word.format(url=url) for word in graph]
        edge = serve("model=digits", *words, "serving.max_batch=1")
        rows = np.random.default_rng(0).random((CLIENTS, 64)).round(3).tolist()
        expected = [predict(cloud.http, row) for row in rows]
        link.hold(CLIENTS)
        with ThreadPoolExecutor(CLIENTS) as clients:
            answers = list(clients.map(lambda row: predict(edge.http, row), rows))
        np.testing.assert_allclose(answers, expected, rtol=1e-5)
        assert link.requests == link.binary_requests == link.binary_answers >= CLIENTS
        with urllib.request.urlopen(f"http://{edge.http}/v2/models/digits/stats", timeout=60) as b:
            (stats,) = json.loads(b.read())["model_stats"]
        assert stats["inference_count"] == stats["execution_count"] == CLIENTS
        code, said = edge.end()
        assert code == 0, said
