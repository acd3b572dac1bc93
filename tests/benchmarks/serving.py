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
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import table

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "aeros-benchmarks"
MLSERVER = "1.7.1"
PACKAGES = ("aeros-core", "aeros-serving", "aeros-torch", "torch", "numpy", "uvloop", "grpcio")
MODELS = {"tiny": ([64], [32]), "wide": ([784], [2048, 2048]), "image": ([262144], [])}
"""Shape of a row, and widths of hidden layers."""
CLASSES = 10
INFER = "/inference.GRPCInferenceService/ModelInfer"


# ---------------------------------------------------------------- models


def weights(name: str, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Return the tensors of a model, named as aeros-torch names them."""
    (width,), hidden = MODELS[name]
    rng = np.random.default_rng(seed)
    sizes = [width, *hidden, CLASSES]
    made = {}
    for index, (inner, outer) in enumerate(itertools.pairwise(sizes)):
        scale = np.float32(inner**-0.5)
        made[f"layers.{2 * index}.weight"] = rng.standard_normal((outer, inner), np.float32) * scale
        made[f"layers.{2 * index}.bias"] = np.zeros(outer, np.float32)
    return made


def publish(folder: Path, name: str, seed: int = 0) -> None:
    """Store a model in the repository of a folder."""
    from aeros_core import compose, config, plugins
    from aeros_core.parameters import Parameters
    from aeros_core.records import Model
    from aeros_core.schema import Field, Schema

    registry = plugins.discover()
    words = [f"repository.path={folder / 'repository'}"]
    node = config.plain(config.load(words, registry, root="models"))["repository"]
    repository = compose.build_part(registry, "repository", node)
    shape, hidden = MODELS[name]
    target = Field("label", "int64", categories=tuple(map(str, range(CLASSES))))
    module = {"_target_": "aeros_torch.models.Mlp", "hidden": hidden, **_mlp()}
    schema = Schema((Field("x", "float32", tuple(shape)), target), "label")
    model = Model(name, Parameters.of(weights(name, seed)), schema, module, inputs=schema)
    repository.publish(model)


def _mlp() -> dict[str, Any]:
    from dataclasses import asdict

    from aeros_torch.config import Mlp

    options = {k: v for k, v in asdict(Mlp()).items() if k not in ("_target_", "hidden")}
    return {k: getattr(v, "name", v) for k, v in options.items()}


# ---------------------------------------------------------------- servers


@dataclass
class Running:
    """A server's process and its ports."""

    pid: int
    http: int
    grpc: int

    def busy(self) -> float:
        """Seconds that all its processes have kept processors busy with."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.pid:  # its session
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def started(command: Sequence[str], folder: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Start a server in a session of its own, and end it."""
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=log,
            text=True, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def aeros(folder: Path, *words: str) -> Iterator[Running]:
    """Run ``aeros serve`` on free ports."""
    command = [sys.executable, "-m", "aeros_core.cli", "serve", "repository.path=repository"]
    command += ["serving.http_port=0", "serving.grpc_port=0", *words]
    with started(command, folder, OMP_NUM_THREADS="1") as process:
        ports = []
        for line in process.stdout or ():
            if found := re.search(r":(\d+)$", line):
                ports.append(int(found[1]))
            if len(ports) == 2:
                break
        else:
            raise SystemExit((folder / "server.log").read_text())
        yield Running(process.pid, *ports)


@contextlib.contextmanager
def mlserver(
    python: Path, folder: Path, name: str, workers: int = 1, batch: int = 0
) -> Iterator[Running]:
    """Run MLServer with one model, in so many workers beside the process that listens."""
    np.savez(folder / "weights.npz", **weights(name))
    base = 23080
    settings = {"http_port": base, "grpc_port": base + 1, "metrics_port": base + 2}
    settings |= {"debug": False, "parallel_workers": workers}
    model = {
        "name": name,
        "implementation": "serving_mlserver.Dense",
        "parameters": {"uri": str(folder / "weights.npz"), "version": "1"},
        "max_batch_size": batch,
        "max_batch_time": 0.001 if batch else 0,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    command = [str(python.parent / "mlserver"), "start", "."]
    with started(command, folder, PYTHONPATH=str(HERE), OMP_NUM_THREADS="1") as process:
        url = f"http://127.0.0.1:{base}/v2/models/{name}/ready"
        for _ in range(240):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(url)
                break
            time.sleep(0.5)
        else:
            raise SystemExit((folder / "server.log").read_text())
        yield Running(process.pid, base, base + 1)


ECHO = """
import asyncio, sys, uvloop
from aeros_serving.http1 import Connection
from aeros_serving.limits import Limits
async def main():
    def answer(exchange):
        exchange.reply(200, [b"{}"])
    loop, all_ = asyncio.get_running_loop(), set()
    made = lambda: Connection(answer, Limits(2**26, 30, 120), all_)
    server = await loop.create_server(made, "127.0.0.1", 0)
    print(f":{server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.sleep(3600)
uvloop.new_event_loop().run_until_complete(main())
"""


@contextlib.contextmanager
def echo(folder: Path) -> Iterator[Running]:
    """Run the HTTP server of aeros with a handler that reads, and answers nothing."""
    with started([sys.executable, "-c", ECHO], folder) as process:
        assert process.stdout is not None
        yield Running(process.pid, int(process.stdout.readline()[1:]), 0)


GRPC_ECHO = """
import asyncio, grpc
async def main():
    async def answer(request, context):
        return request
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    call = grpc.unary_unary_rpc_method_handler(answer)
    handler = grpc.method_handlers_generic_handler(
        "inference.GRPCInferenceService", {"ModelInfer": call})
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f":{port}", flush=True)
    await server.wait_for_termination()
import uvloop
uvloop.new_event_loop().run_until_complete(main())
"""


@contextlib.contextmanager
def grpc_echo(folder: Path) -> Iterator[Running]:
    """Run a server of grpcio that gives every message back as it came, unread."""
    with started([sys.executable, "-c", GRPC_ECHO], folder) as process:
        assert process.stdout is not None
        yield Running(process.pid, 0, int(process.stdout.readline()[1:]))


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
    from aeros_serving.wire import message

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
        """A tiny network, JSON and gRPC, beside MLServer."""
        publish(self.folder, "tiny")
        works = (
            ("tiny, REST JSON", http_request("tiny", binary=False), "rest", 5.0),
            ("tiny, REST binary", http_request("tiny", binary=True), "rest", 0.0),
            ("tiny, gRPC", grpc_request("tiny"), "grpc", 4.0),
        )
        ours, theirs = {}, {}
        for told, words in (("aeros, torch", []), ("aeros, onnx", ["inferencer=onnx"])):
            with aeros(self.folder, "model=tiny", *words) as server:
                for work, request, kind, _ in works:
                    row = self.row(work, told, self.best(server, request, kind=kind))
                    if work not in ours or row["per_s"] > ours[work]["per_s"]:
                        ours[work] = row
        work, request, _, _ = works[2]
        with grpc_echo(self.folder) as server:
            floor = self.row(work, "bare grpcio echo", self.best(server, request, kind="grpc"))
        self.goal(work, "of the echo's requests", ours[work]["per_s"] / floor["per_s"], 0.0)
        if self.python is None:
            return
        for told, workers, batch in (
            ("mlserver", 1, 0),
            ("mlserver, no worker", 0, 0),
            ("mlserver, batches", 0, 64),
        ):
            with mlserver(self.python, self.folder, "tiny", workers, batch) as server:
                for work, request, kind, _ in works:
                    row = self.row(work, told, self.best(server, request, kind=kind))
                    if work not in theirs or row["per_s"] > theirs[work]["per_s"]:
                        theirs[work] = row
        for work, _, _, asked in works:
            if asked:
                self.goal(work, "x mlserver", ours[work]["per_s"] / theirs[work]["per_s"], asked)
                p99 = ours[work]["p99"] / theirs[work]["p99"]
                self.goal(work, "p99 / mlserver's", p99, 1.0, least=False)

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
        command = [sys.executable, "-m", "aeros_core.cli", *words]
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
        with aeros(self.folder, "model=wide:production", "serving.poll=0.2") as server:
            still = self.row(work, "tag stays", load(server, request, self.folder, self.seconds))
            mover = subprocess.Popen(
                [sys.executable, __file__, "--move", str(self.folder), str(self.seconds)]
            )
            seen = self.row(work, "tag moves", load(server, request, self.folder, self.seconds))
            mover.wait()
        self.goal(work, "requests that failed", seen["bad"], 0, least=False)
        step = (seen["p99"] - still["p99"]) / still["p50"]
        self.goal(work, "p99 step in batch times", step, 2.0, least=False)

    def _tag(self, words: Sequence[str], version: int) -> None:
        command = [sys.executable, "-m", "aeros_core.cli", "models", "tag"]
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


def _post(url: str, body: bytes = b"") -> None:
    urllib.request.urlopen(url, body, timeout=60).read()


def move(folder: Path, seconds: float) -> None:
    """Move the tag forth and back while the client asks."""
    from aeros_core import compose, config, plugins

    registry = plugins.discover()
    words = [f"repository.path={folder / 'repository'}"]
    node = config.plain(config.load(words, registry, root="models"))["repository"]
    repository = compose.build_part(registry, "repository", node)
    end, version = time.time() + seconds, 1
    while time.time() < end:
        version = 3 - version
        repository.tag("wide", "production", version)
        time.sleep(1.0)


def environment(cache: Path) -> Path:
    """Return the Python of an environment with MLServer, made on first use."""
    folder = cache / f"mlserver-{MLSERVER}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"installing mlserver=={MLSERVER} into {folder}", flush=True)
        venv.create(folder, with_pip=True)
        wanted = [f"mlserver=={MLSERVER}", "uvloop<0.22"]  # its workers fail with later ones
        install = [str(python), "-m", "pip", "install", "-q", *wanted]
        subprocess.run(install, check=True)
        (folder / "ready").touch()
    return python


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
    for name in ("tiny", "image", "wide", "swap", "graph", "first"):
        if options.only in name:
            with tempfile.TemporaryDirectory() as folder:
                bench = Bench(options, Path(folder))
                getattr(bench, name)()
                rows += bench.rows
    table.write(options.json, rows, PACKAGES)


if __name__ == "__main__":
    main()
