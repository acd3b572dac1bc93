"""The servers of `serving.py`, and the models that they serve."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "aeros-benchmarks"
MLSERVER = "1.7.1"
MODELS = {"tiny": ([64], [32]), "wide": ([784], [2048, 2048]), "image": ([262144], [])}
"""Shape of a row, and widths of hidden layers."""
CLASSES = 10


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
    from aeros_core.config import build, store
    from aeros_core.parameters import Parameters
    from aeros_core.plugins import discovery
    from aeros_core.records import Model
    from aeros_core.schema import Field, Schema

    registry = discovery.discover()
    words = [f"repository.path={folder / 'repository'}"]
    node = store.plain(store.load(words, registry, root="models"))["repository"]
    repository = build.build_part(registry, "repository", node)
    shape, hidden = MODELS[name]
    target = Field("label", "int64", categories=tuple(map(str, range(CLASSES))))
    module = {"_target_": "aeros_torch.modules.models.Mlp", "hidden": hidden, **_mlp()}
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
        """Return the seconds that all its processes have kept processors busy with."""
        ticks = sum(int(fields[11]) + int(fields[12]) for _, fields in self._processes())
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Return the MB that all its processes hold, what they share counted once (PSS)."""
        kib = 0
        for folder, _ in self._processes():
            with contextlib.suppress(OSError):
                found = re.search(r"^Pss: +(\d+)", (folder / "smaps_rollup").read_text(), re.M)
                kib += int(found[1]) if found else 0
        return kib / 1024

    def pids(self) -> list[int]:
        """Return the ids of its process and of all below it."""
        return [int(folder.name) for folder, _ in self._processes()]

    def _processes(self) -> Iterator[tuple[Path, list[str]]]:
        """Yield its process and all below it: folders in /proc, and what their stat says."""
        found: dict[int, tuple[Path, list[str]]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                found[int(stat.parent.name)] = stat.parent, fields
        for pid, held in found.items():
            above = pid
            while above in found and above != self.pid:
                above = int(found[above][1][1])
            if above == self.pid:
                yield held


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
    command = [sys.executable, "-m", "aeros_core.cli.main", "serve", "repository.path=repository"]
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
    python: Path, folder: Path, name: str, base: int, workers: int = 1, batch: int = 0
) -> Iterator[Running]:
    """Run MLServer with one model, in so many workers beside the process that listens."""
    np.savez(folder / "weights.npz", **weights(name))
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
import asyncio, uvloop
from aeros_serving.rest.http_message import HttpResponse
from aeros_serving.rest.http_server import HttpServer
from aeros_serving.rest.limits import Limits
class Echo:
    def refuse(self, request):
        return None
    async def answer(self, request):
        return HttpResponse(200, [], b"{}")
async def main():
    print(f":{await HttpServer(Echo(), Limits(2**26, 30, 120)).open('127.0.0.1', 0)}", flush=True)
    await asyncio.sleep(3600)
uvloop.run(main())
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
