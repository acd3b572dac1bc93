"""Serving: aeros beside MLServer, and beside what its own HTTP server can do at best.

    python tests/benchmarks/serving.py [--quick] [--json FILE] [--only WORD] [--no-mlserver]
        [--cache FOLDER]

Every subject serves the same dense network from the same weights, aeros with ``aeros serve``
from a repository, with torch and where it says so with onnxruntime, MLServer with numpy alone in
a runtime of its own. The client
is another process, `serving_load.py`; it keeps so many requests on their way. ``busy us`` is
what the server's processors were kept busy with for one request, which a machine shared with
others disturbs less than requests per second. MLServer is installed on first use into an
environment of its own, ``--cache``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import table
from serving_servers import (
    CACHE,
    HERE,
    MODELS,
    Running,
    aeros,
    echo,
    environment,
    grpc_echo,
    mlserver,
    publish,
)

PACKAGES = ("aeros-core", "aeros-serving", "aeros-torch", "torch", "numpy", "uvloop", "grpcio")
INFER = "/inference.GRPCInferenceService/ModelInfer"


# ---------------------------------------------------------------- requests


def http_request(name: str, binary: bool) -> bytes:
    """Return a whole request for one row."""
    row = np.random.default_rng(1).random((1, *MODELS[name][0]), np.float32)
    tensor: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": list(row.shape)}
    if binary:
        tensor["parameters"] = {"binary_data_size": row.nbytes}
        head = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
        body, more = head + row.tobytes(), f"inference-header-content-length: {len(head)}\r\n"
    else:
        body, more = orjson.dumps({"inputs": [{**tensor, "data": row.ravel().tolist()}]}), ""
    first = f"POST /v2/models/{name}/infer HTTP/1.1\r\nhost: localhost\r\n{more}"
    kind = "application/octet-stream" if binary else "application/json"
    return f"{first}content-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def grpc_request(name: str) -> bytes:
    """Return a message for one row."""
    from aeros_serving.grpc.messages import message

    row = np.random.default_rng(1).random((1, *MODELS[name][0]), np.float32)
    tensor = {"name": "x", "datatype": "FP32", "shape": row.shape}
    made = message("ModelInferRequest")(model_name=name, inputs=[tensor])
    made.raw_input_contents.append(row.tobytes())
    return bytes(made.SerializeToString())


def load(
    server: Running, request: bytes, folder: Path, seconds: float, kind: str = "rest", at: int = 16
) -> dict[str, Any]:
    """Ask a server for some seconds; return what the client saw."""
    (folder / "request").write_bytes(request)
    port = server.http if kind == "rest" else server.grpc
    command = [sys.executable, str(HERE / "serving_load.py"), kind, str(port), INFER]
    command += [str(folder / "request"), str(at), str(seconds)]
    before = server.busy()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seen: dict[str, Any] = json.loads(done.stdout)
    spent = server.busy() - before
    seen["per_s"] = seen["requests"] / seconds
    seen["busy_us"] = spent / max(1, seen["requests"]) * 1e6 * seconds / (seconds + 0.5)
    return seen


# ---------------------------------------------------------------- works


class Bench:
    """Runs works, prints their rows and keeps them."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.folder = folder
        self.seconds = 1.0 if options.quick else 6.0
        self.turns = 1 if options.quick else 3
        self.python = None if options.no_mlserver else environment(options.cache)
        self.rows: list[dict[str, Any]] = []

    def best(self, *args: Any, **options: Any) -> dict[str, Any]:
        """Return the turn with the most requests."""
        turns = [load(*args, self.folder, self.seconds, **options) for _ in range(self.turns)]
        return max(turns, key=lambda seen: seen["per_s"])

    def row(self, work: str, subject: str, seen: dict[str, Any]) -> dict[str, Any]:
        """Print and keep a row."""
        row = {"work": work, "subject": subject, **seen}
        self.rows.append(row)
        print(
            "{work:24} {subject:20} {per_s:9.0f} {p50:8.2f} {p95:8.2f} {p99:8.2f} {busy_us:8.0f}"
            " {bad:4}".format(**row),
            flush=True,
        )
        return row

    def goal(self, work: str, what: str, reached: float, asked: float, least: bool = True) -> None:
        """Print and keep what was reached of a goal."""
        good = reached >= asked if least else reached <= asked
        limit = "at least" if least else "at most"
        print(f"{work:24} {'' if good else 'NOT '}reached: {what} {reached:.2f}, {limit} {asked:g}")
        self.rows.append({"work": work, "goal": what, "reached": reached, "asked": asked})

    def tiny(self) -> None:
        """A tiny network, JSON and gRPC, beside MLServer: all servers stand, and take turns."""
        publish(self.folder, "tiny")
        works = (
            ("tiny, REST JSON", http_request("tiny", binary=False), "rest", 5.0, (1, 16, 64)),
            ("tiny, REST binary", http_request("tiny", binary=True), "rest", 0.0, (16,)),
            ("tiny, gRPC", grpc_request("tiny"), "grpc", 2.0, (1, 16, 64)),
        )
        with contextlib.ExitStack() as all_:
            ours = {
                "aeros, torch": all_.enter_context(aeros(self.folder, "model=tiny")),
                "aeros, onnx": all_.enter_context(
                    aeros(self.folder, "model=tiny", "inferencer=onnx")
                ),
            }
            several = {
                "aeros, 2 workers": all_.enter_context(
                    aeros(self.folder, "model=tiny", "inferencer=onnx", "serving.workers=2")
                )
            }
            floors = {
                "rest": {"bare uvicorn echo": all_.enter_context(echo(self.folder))},
                "grpc": {"bare grpcio echo": all_.enter_context(grpc_echo(self.folder))},
            }
            theirs = {} if self.python is None else self._mlservers(self.python, all_)
            for name, request, kind, asked, flights in works:
                for at in flights:
                    work, floor = f"{name}, {at} in flight", floors[kind]
                    servers = ours | several | floor | (theirs if asked else {})
                    seen = self.turned(work, servers, request, kind, at)
                    self.goal(work, "of the echo's requests", _times(seen, ours, floor), 0.0)
                    if asked and theirs:
                        self.goal(work, "x mlserver", _times(seen, ours, theirs), asked)
                        p99 = _times(seen, ours, theirs, "p99", best=min)
                        self.goal(work, "p99 / mlserver's", p99, 1.0, least=False)
            for subject, server in (ours | several | theirs).items():
                print(f"{'memory':24} {subject:20} {server.memory():9.0f} MB")
                self.rows.append({"work": "memory", "subject": subject, "mb": server.memory()})

    def _mlservers(self, python: Path, all_: contextlib.ExitStack) -> dict[str, Running]:
        """Start MLServer as it can be configured: a worker process, none, and with batches."""
        kinds = {"mlserver": (1, 0), "mlserver, no worker": (0, 0), "mlserver, batches": (0, 64)}
        found = {}
        for index, (told, (workers, batch)) in enumerate(kinds.items()):
            folder = self.folder / f"mlserver-{index}"
            folder.mkdir()
            base = 23080 + 10 * index
            started_ = mlserver(python, folder, "tiny", base, workers, batch)
            found[told] = all_.enter_context(started_)
        return found

    def turned(
        self, work: str, servers: dict[str, Running], request: bytes, kind: str, at: int
    ) -> dict[str, list[dict[str, Any]]]:
        """Ask all servers in turns, so that what the machine gives falls on all; print medians."""
        seen: dict[str, list[dict[str, Any]]] = {told: [] for told in servers}
        for _ in range(2 * self.turns + 1):
            for told, server in servers.items():
                turn = load(server, request, self.folder, self.seconds / 3, kind=kind, at=at)
                seen[told].append(turn)
        for told, turns in seen.items():
            self.row(work, told, sorted(turns, key=lambda each: each["per_s"])[self.turns])
        return seen

    def workers(self) -> None:
        """A tiny network in 1, 2 and 4 workers: the same in flight altogether, and for each."""
        publish(self.folder, "tiny")
        request, counts = http_request("tiny", binary=False), (1, 2, 4)
        words = ["model=tiny", "inferencer=onnx"]
        with contextlib.ExitStack() as all_:
            servers = {
                count: all_.enter_context(aeros(self.folder, *words, f"serving.workers={count}"))
                for count in counts
            }
            for told, flights in (
                ("16 in flight", dict.fromkeys(counts, 16)),
                ("8 for each worker", {count: 8 * count for count in counts}),
                ("32 for each worker", {count: 32 * count for count in counts}),
            ):
                work, turns = f"workers, {told}", 2 * self.turns + 1
                seen: dict[int, list[dict[str, Any]]] = {count: [] for count in counts}
                for _ in range(turns):
                    for count, server in servers.items():
                        turn = load(
                            server, request, self.folder, self.seconds / 3, at=flights[count]
                        )
                        seen[count].append(turn)
                for count, each in seen.items():
                    each.sort(key=lambda turn: float(turn["busy_us"]))
                    self.row(work, f"aeros, {count} workers", each[self.turns])
                middle = {count: each[self.turns]["busy_us"] for count, each in seen.items()}
                most = max(middle[count] / middle[1] for count in counts)
                self.goal(work, "busy us / one worker's", most, 1.15, least=False)
            for count, server in servers.items():
                print(f"{'memory':24} {f'aeros, {count} workers':20} {server.memory():9.0f} MB")

    def image(self) -> None:
        """1 MB of binary data, beside a handler that does nothing."""
        publish(self.folder, "image")
        request, work = http_request("image", binary=True), "1 MB, REST binary"
        with echo(self.folder) as server:
            top = self.row(work, "echo", self.best(server, request))
        with aeros(self.folder, "model=image") as server:
            seen = self.row(work, "aeros", self.best(server, request))
        self.goal(work, "of the echo's requests", seen["per_s"] / top["per_s"], 0.8)

    def wide(self) -> None:
        """A network whose weights are read once a batch, with and without batches."""
        publish(self.folder, "wide")
        request, work = http_request("wide", binary=True), "wide, batches"
        with aeros(self.folder, "model=wide", "serving.max_batch=1") as server:
            alone = self.row(work, "one by one", self.best(server, request, at=64))
        with aeros(self.folder, "model=wide") as server:
            seen = self.row(work, "batches up to 64", self.best(server, request, at=64))
        self.goal(work, "x one by one", seen["per_s"] / alone["per_s"], 3.0)
        self.goal(work, "p95 / one by one's", seen["p95"] / alone["p95"], 1.0, least=False)

    def graph(self) -> None:
        """A network in two stages on two servers, beside the same on one, and a bare echo."""
        publish(self.folder, "tiny")
        words = ["models", "split", "tiny", "--at", "layers.0", "repository.path=repository"]
        command = [sys.executable, "-m", "aeros_core.cli.main", *words]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
        body = http_request("tiny", binary=True)
        staged = body.replace(b"/v2/models/tiny/", b"/v2/models/tiny.stage1/")
        stages = ["+inferencer.members.a=tiny.stage1", "+inferencer.members.b=tiny.stage2"]
        there = [
            "+inferencer.members.a=tiny.stage1",
            "+inferencer@inferencer.members.b.inferencer=remote",
            "inferencer.members.b.inferencer.model=tiny.stage2",
        ]
        chain = ["model=tiny.stage1", "inferencer=sequence", "inferencer.order=[a,b]"]
        with contextlib.ExitStack() as all_:
            start = all_.enter_context
            bare = start(grpc_echo(self.folder))
            one = start(aeros(self.folder, *chain, *stages))
            second = start(aeros(self.folder, "model=tiny.stage2", "inferencer=onnx"))
            url = f"inferencer.members.b.inferencer.url=http://127.0.0.1:{second.http}"
            two = start(aeros(self.folder, *chain, *there, url))
            self._hops(
                ("bare grpcio echo", bare, grpc_request("tiny"), "grpc"),
                ("one server", one, staged, "rest"),
                ("two servers", two, staged, "rest"),
            )

    def _hops(self, *subjects: tuple[str, Running, bytes, str]) -> None:
        """Ask echo, one server and two in turns, each a second, so that all see one machine."""
        work, turns = "two stages, one by one", 3 if self.turns == 1 else 15
        seen: dict[str, list[dict[str, Any]]] = {subject[0]: [] for subject in subjects}
        for _ in range(turns):
            for told, server, request, kind in subjects:
                seen[told].append(load(server, request, self.folder, 1.0, kind=kind, at=1))
        for told, all_ in seen.items():
            self.row(work, told, sorted(all_, key=lambda each: each["p50"])[turns // 2])
        hops = [
            (two["p50"] - one["p50"]) / echo["p50"]
            for echo, one, two in zip(*seen.values(), strict=True)
        ]
        print(f"{work:24} hop / echo of {turns} turns: {min(hops):.2f} to {max(hops):.2f}")
        self.goal(work, "hop / bare grpcio echo", statistics.median(hops), 1.5, least=False)

    def swap(self) -> None:
        """A tag that moves under load."""
        publish(self.folder, "wide")
        publish(self.folder, "wide", seed=1)
        request, work = http_request("wide", binary=True), "wide, hot swap"
        words = ["repository.path=repository"]
        self._tag(words, 1)
        steps, bad = [], 0
        with aeros(self.folder, "model=wide:production", "serving.poll=0.2") as server:
            for _ in range(self.turns):
                seen = load(server, request, self.folder, self.seconds)
                still = self.row(work, "tag stays", seen)
                command = [sys.executable, __file__, "--move", str(self.folder), str(self.seconds)]
                mover = subprocess.Popen(command, stdout=subprocess.PIPE)
                assert mover.stdout is not None
                mover.stdout.readline()  # what it imports is no part of the swap
                seen = load(server, request, self.folder, self.seconds)
                moved = self.row(work, "tag moves", seen)
                mover.wait()
                bad += moved["bad"]
                steps.append((moved["p99"] - still["p99"]) / still["p50"])
        self.goal(work, "requests that failed", bad, 0, least=False)
        self.goal(work, "p99 step in batch times", statistics.median(steps), 2.0, least=False)

    def _tag(self, words: Sequence[str], version: int) -> None:
        command = [sys.executable, "-m", "aeros_core.cli.main", "models", "tag"]
        command += [f"wide:{version}", "production", *words]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)

    def first(self) -> None:
        """From the repository to the first answer, in a process that is warm: 40 MB."""
        MODELS["forty"] = ([784], [2800, 2800])
        publish(self.folder, "tiny")
        publish(self.folder, "forty")
        request = http_request("forty", binary=False).partition(b"\r\n\r\n")[2]
        times = []
        with aeros(self.folder, "model=tiny") as server:
            base = f"http://127.0.0.1:{server.http}/v2"
            for _ in range(self.turns):
                start = time.perf_counter()
                _post(f"{base}/repository/models/forty/load")
                _post(f"{base}/models/forty/infer", request)
                times.append(time.perf_counter() - start)
                _post(f"{base}/repository/models/forty/unload")
        median = sorted(times)[len(times) // 2]
        self.goal("40 MB, first answer", "seconds", median, 1.0, least=False)


def _times(
    seen: dict[str, list[dict[str, Any]]],
    ours: Iterable[str],
    theirs: Iterable[str],
    what: str = "per_s",
    best: Any = max,
) -> float:
    """Return the median over the turns of our best beside their best in the same turn."""
    tops = [
        [
            best(turn)
            for turn in zip(*([each[what] for each in seen[one]] for one in some), strict=True)
        ]
        for some in (ours, theirs)
    ]
    return statistics.median(a / b for a, b in zip(*tops, strict=True))


def _post(url: str, body: bytes = b"") -> None:
    urllib.request.urlopen(url, body, timeout=60).read()


def move(folder: Path, seconds: float) -> None:
    """Move the tag forth and back while the client asks."""
    from aeros_core.config import build, store
    from aeros_core.plugins import discovery

    registry = discovery.discover()
    words = [f"repository.path={folder / 'repository'}"]
    node = store.plain(store.load(words, registry, root="models"))["repository"]
    repository = build.build_part(registry, "repository", node)
    print("ready", flush=True)
    end, version = time.time() + seconds, 1
    while time.time() < end:
        version = 3 - version
        repository.tag("wide", "production", version)
        time.sleep(1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a second for each subject")
    parser.add_argument("--json", help="write the rows to this file")
    parser.add_argument("--only", default="", help="works whose name holds this")
    parser.add_argument("--no-mlserver", action="store_true")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where MLServer is installed")
    parser.add_argument("--move", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.move:
        move(Path(options.move[0]), float(options.move[1]))
        return
    told = ", ".join(f"{k} {v}" for k, v in table.versions(PACKAGES).items())
    print(f"{table.machine()}\n{told}\n")
    print(f"{'work':24} {'subject':20} {'per s':>9} {'p50 ms':>8} {'p95':>8} {'p99':>8}", end="")
    print(f" {'busy us':>8} {'bad':>4}")
    rows: list[dict[str, Any]] = []
    for name in ("tiny", "workers", "image", "wide", "swap", "graph", "first"):
        if options.only in name:
            with tempfile.TemporaryDirectory() as folder:
                bench = Bench(options, Path(folder))
                getattr(bench, name)()
                rows += bench.rows
    table.write(options.json, rows, PACKAGES)


if __name__ == "__main__":
    main()
