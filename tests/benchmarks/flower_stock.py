"""Plain Flower beside which rounds are measured: `flwr run`, stock SuperLink and SuperNodes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from aeros_flower.superlink import app_bundle

__all__ = ["stock_rounds"]

CLIENT = """\
from flwr.app import Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(msg, context):
    metrics = MetricRecord({"num-examples": 1})
    content = RecordDict({"arrays": msg.content["arrays"], "metrics": metrics})
    return Message(content=content, reply_to=msg)
"""

SERVER = """\
import json, time
import numpy as np
from flwr.app import Array, ArrayRecord, MetricRecord
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


@app.main()
def main(grid, context):
    ended = []

    def note(number, arrays):
        ended.append(time.time())
        return MetricRecord({"none": 0.0})

    start = ArrayRecord({"w": Array(np.zeros(1000, "float32"))})
    FedAvg(fraction_evaluate=0.0, min_train_nodes=2, min_available_nodes=2).start(
        grid=grid, initial_arrays=start, num_rounds=int(context.run_config["rounds"]),
        evaluate_fn=note,
    )
    with open(context.run_config["out"], "w") as file:
        json.dump(ended, file)
"""


def stock_rounds(rounds: int) -> list[float]:
    """Return the seconds of each round but the first, with two nodes and 1,000 numbers.

    Raises:
        SystemExit: It did not end within ten minutes.
    """
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as ends:
        folder, port = Path(name), _free()
        out = _app(folder / "app", rounds + 1)
        (folder / "flwr").mkdir()
        (folder / "flwr" / "config.toml").write_text(
            f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{port}"\n'
            "insecure = true\n"
        )

        def start(program: str, *words: object) -> None:
            process = _start(folder, program, *words)
            ends.callback(_end, process)

        start("flower-superlink", "--insecure", "--host", "127.0.0.1", "--port", port)
        _wait(lambda: _listens(port), 120)
        for _ in range(2):
            own = ("--port", _free(), "--insecure")
            start("flower-supernode", "--superlink", f"127.0.0.1:{port}", *own)
        start("flwr", "run", folder / "app", "here", "--stream")
        _wait(out.exists, 600)
        time.sleep(0.2)
        ended = json.loads(out.read_text())
    return [b - a for a, b in pairwise(ended[1:])]


def _app(folder: Path, rounds: int) -> Path:
    out = folder.parent / "ended.json"
    app_bundle.create(
        folder, name="tiny", publisher="somebody", config=f'out = "{out}"\nrounds = {rounds}\n',
        server="tiny.server_app:app", client="tiny.client_app:app",
    )  # fmt: skip
    (folder / "tiny").mkdir()
    (folder / "tiny" / "__init__.py").touch()
    (folder / "tiny" / "client_app.py").write_text(CLIENT)
    (folder / "tiny" / "server_app.py").write_text(SERVER)
    return out


def _start(folder: Path, program: str, *words: object) -> subprocess.Popen[bytes]:
    programs = Path(sys.executable).parent
    told = os.environ | {
        "FLWR_HOME": str(folder / "flwr"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
    }
    return subprocess.Popen(
        [programs / program, *map(str, words)], cwd=folder, env=told,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


def _below(pid: int) -> list[int]:
    try:
        text = "".join(p.read_text() for p in Path(f"/proc/{pid}/task").glob("*/children"))
    except OSError:
        return []
    return [found for child in map(int, text.split()) for found in (child, *_below(child))]


def _end(process: subprocess.Popen[bytes]) -> None:
    for pid in (process.pid, *_below(process.pid)):  # Flower detaches what it begins
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(60)


def _free() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
        return True
    return False


def _wait(done: object, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        if time.monotonic() > ends:
            raise SystemExit("plain Flower did not get there in time")
        time.sleep(0.1)
