"""What a round costs beside its training: many clients, large models, the start.

    python tests/benchmarks/scale.py [--quick] [--json FILE] [--only WORD]

``population``: a round of 10 clients of 100 up to 1,000,000, softmax regression, by the whole
round loop with a repository in memory; virtual clients compute their rows when they are asked
for them, others have one array of rows. Each size runs in a process of its own. ``median ms``
is that of a round, ``MiB`` the resident memory at the end; a ratio is that to 100 clients.

``no-op``: a trainer that does nothing, 100 clients of 1 M parameters; a ratio is that to the
bare traffic of the aggregation: every update read once, on every core.

``start``: seconds from the command line to the end of the first round, by the wall clock and
by the processor; a ratio is that to ``python -c "import torch"``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import simulation
import simulation_aeros as aeros
from simulation_work import digits

from aeros_core.data import Dataset, Partition
from aeros_core.messages import Instruction, Update
from aeros_core.parameters import Layout, Parameters
from aeros_core.schema import Field, Schema

POPULATIONS = (100, 1_000, 10_000, 100_000, 1_000_000)
EXAMPLES, TABLE = 8, 8_000
CLIENTS, SIZE = 100, 1_000_000

Row = dict[str, Any]


@dataclass(frozen=True)
class Virtual:
    """Clients whose rows are computed: no array is as long as the population."""

    clients: int
    names: None = None

    def __len__(self) -> int:
        return self.clients

    def __getitem__(self, client: int) -> Any:
        return (EXAMPLES * client + np.arange(EXAMPLES)) % TABLE

    def name(self, client: int) -> str:
        return f"client-{client}"

    @property
    def sizes(self) -> Any:
        return np.broadcast_to(np.int64(EXAMPLES), self.clients)


def stored(clients: int) -> Partition:
    """Return the same clients with one array of rows."""
    rows = np.arange(EXAMPLES * clients) % TABLE
    return Partition(rows, EXAMPLES * np.arange(clients + 1))


def population(clients: int, kind: str, rounds: int) -> tuple[float, float, float]:
    """Return milliseconds of a round, the median and the processor's, and MiB at the end."""
    x, y = digits("train", TABLE, (784,))
    test_x, test_y = digits("t10k", 200, (784,))
    work = SimpleNamespace(
        name="population",
        clients=clients,
        cohort=10,
        hidden=[],
        rounds=rounds,
        inputs=(784,),
        codes=0,
        lr=0.03,
        batch=10,
        x=x,
        y=y,
        test_x=test_x,
        test_y=test_y,
        partition=Virtual(clients) if kind == "virtual" else stored(clients),
    )
    seconds, busy, _ = aeros.engine(work, "auto")
    return statistics.median(seconds) * 1e3, busy * 1e3, resident()


def resident() -> float:
    """Return the resident memory of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def populations(quick: bool) -> Iterator[Row]:
    """Yield a row for each size and kind; sizes take turns, and each has its own process."""
    rounds, turns = (60, 1) if quick else (200, 3)
    for kind in ("virtual", "stored"):
        found: dict[int, list[list[float]]] = {size: [] for size in POPULATIONS}
        for size in POPULATIONS * turns:
            child = [sys.executable, __file__, "--child", str(size), kind, str(rounds)]
            done = subprocess.run(child, capture_output=True, text=True, check=True)
            found[size].append(json.loads(done.stdout.splitlines()[-1]))
        first = [statistics.median(values) for values in zip(*found[POPULATIONS[0]], strict=True)]
        for size, values in found.items():
            took, busy, held = (statistics.median(some) for some in zip(*values, strict=True))
            yield {
                "work": "population",
                "subject": f"10 of {size:,} {kind}",
                "median_ms": took,
                "ratio": took / first[0],
                "busy_ms": busy,
                "busy_ratio": busy / first[1],
                "MiB": held,
                "MiB_ratio": held / first[2],
            }


class Nothing:
    """A trainer that does nothing: each client's update is there already."""

    def __init__(self, layout: Layout, vectors: Any):
        self._updates = [Parameters(layout, {"float32": vector}) for vector in vectors]

    def initialise(self, schema: Schema, seed: int) -> Parameters:
        return Parameters.zeros(self._updates[0].layout)

    def expects(self, schema: Schema) -> Schema:
        return schema

    def train(self, sent: Instruction, data: Dataset) -> Update:
        made = self._updates[int(sent.node.rpartition("-")[2])]
        return Update(sent.node, sent.round, made, len(data), {"loss": 1.0})

    def evaluate(self, parameters: Parameters, data: Dataset) -> dict[str, float]:
        return {"loss": 1.0, "accuracy": 1.0}


def noop(quick: bool) -> Iterator[Row]:
    """Yield the bare traffic, the rule alone, and whole rounds."""
    vectors = np.random.default_rng(0).standard_normal((CLIENTS, SIZE), np.float32)
    turns = 10 if quick else 40
    made = Nothing(Layout.of({"w": ((SIZE,), "float32")}), vectors)
    rounds, busy = _rounds(made, turns)
    subjects: dict[str, Callable[[], object]] = {
        "bare read of every update": partial(_read, vectors),
        "fedavg alone": partial(_fold, made),
    }
    alone: dict[str, list[tuple[float, float]]] = {name: [] for name in subjects}
    for _ in range(turns):
        for name, call in subjects.items():
            alone[name].append(_timed(call))
    bare = statistics.median(took for took, _ in alone["bare read of every update"])
    for name, values in alone.items():
        took, worked = (statistics.median(some) for some in zip(*values, strict=True))
        yield _row("no-op", name, took, bare, busy_ms=worked * 1e3)
    yield _row("no-op", "aeros, a round", statistics.median(rounds), bare, busy_ms=busy * 1e3)


def _row(work: str, subject: str, seconds: float, bare: float, **more: float) -> Row:
    ratio = seconds / bare
    return {"work": work, "subject": subject, "median_ms": seconds * 1e3, "ratio": ratio, **more}


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    before, busy = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - before, time.process_time() - busy


def _read(vectors: Any) -> None:
    """Read every update once, on every core: BLAS reads as fast as memory gives."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda vector: float(np.dot(vector, vector)), vectors))


def _fold(made: Nothing) -> Parameters:
    start = made.initialise(Schema(()), 0)
    updates = (Update("n", 1, parameters, 8) for parameters in made._updates)
    return aeros.FedAvg(personal=()).aggregate(start, updates)


def _rounds(made: Nothing, rounds: int) -> tuple[list[float], float]:
    """Return the seconds of each round but the first, and what they kept busy."""
    schema = Schema((Field("x", "float32"), Field("y", "int64", categories=("a", "b"))), "y")
    table = Dataset(schema, {"x": np.zeros(TABLE, np.float32), "y": np.zeros(TABLE, np.int64)})
    data = aeros.Prepared(table, table, stored(CLIENTS), {})
    return aeros.rounds(data, made, rounds=rounds + 1, cohort=CLIENTS)[:2]


def start(quick: bool) -> Iterator[Row]:
    """Yield the seconds to the end of the first round, and of what it needs."""
    python = [sys.executable, "-c"]
    run = [
        sys.executable,
        "-c",
        "from aeros_core.cli.main import main; main()",
        "run",
        "task.rounds=1",
    ]
    subjects = {
        "import torch": [*python, "import torch"],
        "import torch, numba": [*python, "import torch, numba"],
        "aeros run, first round": run,
        "the same, sequential": [*run, "trainer.engine=sequential"],
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in subjects}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(3 if quick else 8):
            for name, command in subjects.items():
                took = _until(command, folder)
                if turn:  # the first fills caches
                    found[name].append(took)
    bare = statistics.median(took for took, _ in found["import torch"])
    for name, values in found.items():
        took, worked = (statistics.median(some) for some in zip(*values, strict=True))
        yield _row("start", name, took, bare, busy_ms=worked * 1e3)


def _until(command: list[str], folder: str) -> tuple[float, float]:
    """Return the seconds until a program says that round 1 is done, or ends; and its own."""
    before, busy = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        line = next((line for line in program.stdout if line.startswith("round 1/")), None)
        took = time.perf_counter() - before
        program.stdout.read()
    if program.returncode or (line is None and "run" in command):
        sys.exit(f"{command} ended with {program.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - busy.ru_utime - busy.ru_stime


WORKS = {"population": populations, "no-op": noop, "start": start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds and turns")
    parser.add_argument("--json", metavar="FILE", help="write the rows there too")
    parser.add_argument("--only", default="", metavar="WORD", help="works with this in their name")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        clients, kind, rounds = options.child
        print(json.dumps(population(int(clients), kind, int(rounds))))
        return
    print(f"{simulation.machine()}\n")
    rows = []
    for name, work in WORKS.items():
        for row in work(options.quick) if options.only in name else ():
            rows.append(row)
            print("  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{v:26}"
                            for k, v in row.items()), flush=True)  # fmt: skip
    if options.json:
        document = {
            "machine": simulation.machine(),
            "versions": simulation.versions(),
            "rows": rows,
        }
        Path(options.json).write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
