"""An edge server: seconds from a cold start to ready, and memory, beside MLServer.

    python tests/benchmarks/edge.py [--runs N] [--no-mlserver] [--cache FOLDER]

Each run starts `aeros serve` as a process of its own, waits until it says that it is ready, asks
once, and reads what the system tells of it. The model is the MLP of `digits`, trained for a round,
exported and imported as ONNX; the subjects take turns. `private` is what no other process shares.
MLServer serves a network of the same size with numpy alone, with a worker process and without;
its figures are the sums of its processes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

from serving_servers import CACHE, environment, mlserver

AEROS = [sys.executable, "-m", "aeros_core.cli.main"]
SUBJECTS = {
    "inferencer=onnx, imported graph": ("graph", "onnx"),
    "inferencer=torch, trained module": ("digits", "torch"),
}
REQUEST = {
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 8, 8], "data": [1.0] * 64}]
}


def main() -> None:
    """Measure each subject some times, and print the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-mlserver", action="store_true")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where MLServer is installed")
    options = parser.parse_args()
    python = None if options.no_mlserver else environment(options.cache)
    with tempfile.TemporaryDirectory() as folder:
        for words in (
            ["run", "task.rounds=1"],
            ["models", "export", "digits", "digits.onnx"],
            ["models", "import", "digits.onnx", "--name", "graph"],
        ):
            subprocess.run([*AEROS, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        found: dict[str, list[dict[str, float]]] = {subject: [] for subject in SUBJECTS}
        for _ in range(options.runs):
            for subject, (model, inferencer) in SUBJECTS.items():
                found[subject].append(measured(Path(folder), model, inferencer))
            for workers in () if python is None else (1, 0):
                subject = f"MLServer, {workers or 'no'} worker"
                figures = measured_mlserver(python, Path(folder), workers)
                found.setdefault(subject, []).append(figures)
    for subject, figures in found.items():
        told = {name: median(run[name] for run in figures) for name in figures[0]}
        print(
            f"{subject}: ready after {told['seconds']:.2f} s ({told['cpu']:.2f} s of processor),"
            f" {told['resident']:.0f} MB resident, {told['private']:.0f} MB private"
        )


def measured(folder: Path, model: str, inferencer: str) -> dict[str, float]:
    """Return the figures of one start."""
    words = [f"model={model}", f"inferencer={inferencer}"]
    ports = ["serving.http_port=0", "serving.grpc_port=0"]
    started = time.perf_counter()
    with subprocess.Popen(
        [*AEROS, "serve", *words, *ports], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = next(line.split()[-1] for line in process.stdout if line.startswith("REST on "))
        next(line for line in process.stdout if line.startswith("gRPC on "))
        seconds = time.perf_counter() - started
        asked = urllib.request.Request(
            f"{url}/v2/models/{model}/infer", json.dumps(REQUEST).encode()
        )
        urllib.request.urlopen(asked, timeout=60).read()
        found = {"seconds": seconds, "cpu": cpu(process.pid), **memory(process.pid)}
        process.send_signal(signal.SIGTERM)
    return found


def measured_mlserver(python: Path, folder: Path, workers: int) -> dict[str, float]:
    """Return the figures of one start of MLServer, which is asked twice a second if it is ready."""
    row = {"name": "x", "datatype": "FP32", "shape": [1, 64], "data": [1.0] * 64}
    started = time.perf_counter()
    with mlserver(python, folder, "tiny", 23180, workers) as server:
        seconds = time.perf_counter() - started
        asked = urllib.request.Request(
            f"http://127.0.0.1:{server.http}/v2/models/tiny/infer",
            json.dumps({"inputs": [row]}).encode(),
            {"content-type": "application/json"},
        )
        urllib.request.urlopen(asked, timeout=60).read()
        held = [memory(pid) for pid in server.pids()]
        sums = {name: sum(each[name] for each in held) for name in ("resident", "private")}
        return {"seconds": seconds, "cpu": server.busy(), **sums}


def cpu(pid: int) -> float:
    """Return the seconds of processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> dict[str, float]:
    """Return the resident and the private memory of a process, in MB of 2**20 bytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = {name: int(n) for name, n in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}
    return {
        "resident": kib["Rss"] / 1024,
        "private": (kib["Private_Clean"] + kib["Private_Dirty"]) / 1024,
    }


if __name__ == "__main__":
    main()
