"""Rounds over Flower: real ports, nodes in processes of their own, no training.

    python tests/benchmarks/flower.py [--quick] [--json FILE] [--only CASE]

Nodes send back what they were sent, each with another number added, so that everything measured
is transport, checks and aggregation. What was the same would not travel: Flower keeps objects under
their digests. CPU is that of the controller's process, the SuperLink in it included.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import table
from flower_nodes import records
from flower_stock import stock_rounds

from aeros_aggregators.rules.fedavg import FedAvg
from aeros_core.data import Partition
from aeros_core.federated.synchronous import SynchronousRound
from aeros_core.messages import Instruction, Reply
from aeros_core.parameters import Layout, Parameters
from aeros_core.tasks.round_counters import RoundCounters
from aeros_core.tasks.task import Task
from aeros_flower.controller.limits import Limits
from aeros_flower.controller.nodes import FlowerNodes
from aeros_flower.http.server import listen
from aeros_flower.membership.executors import Executors
from aeros_flower.protocol import messages
from aeros_flower.superlink.embedded import EmbeddedSuperLink
from aeros_flower.superlink.standby.client import standby_session

PACKAGES = ("aeros-flower", "flwr", "numpy")
NODES = Path(__file__).with_name("flower_nodes.py")
PROCESSES = 5
"""Processes that nodes share: fifty interpreters would measure the machine's memory."""


@contextlib.contextmanager
def fleet_of(
    count: int, *clients: int, window: int = 2**30, link: Any = None
) -> Iterator[list[Any]]:
    """Start a SuperLink, if there is none, and nodes; yield it, and them for these clients."""
    link = link or EmbeddedSuperLink(listen("127.0.0.1", 0))
    names = [f"n{i:03d}" for i in range(count)]
    share = [names[i::PROCESSES] for i in range(min(PROCESSES, count))]
    processes = [
        subprocess.Popen([sys.executable, str(NODES), link.address, *some]) for some in share
    ]
    try:
        roster = Executors(
            link, messages.pack_note("prepare", {}), lambda member: "", lambda text: None
        )
        while len(roster.members) < count:
            roster.refresh()
            link.wait(0.5)
            if any(process.poll() is not None for process in processes):
                raise SystemExit("a process of nodes ended")
        parts = [Partition(np.arange(n), np.arange(n + 1)) for n in clients]
        yield [link, *(FlowerNodes(link, roster, p, limits=Limits(window=window)) for p in parts)]
    finally:
        for process in processes:
            process.kill()
            process.wait()
        link.close()


# ---------------------------------------------------------------- rounds


class Spent(NamedTuple):
    """What a round took: seconds, of the controller's processor, and in check and aggregation."""

    wall: float
    cpu: float
    beside: float


class Watched:
    """Nodes, and how long the round loop was with them."""

    def __init__(self, nodes: FlowerNodes) -> None:
        self._nodes, self.seconds = nodes, 0.0

    def dispatch(self, instructions: list[Instruction]) -> None:
        began = time.perf_counter()
        self._nodes.dispatch(instructions)
        self.seconds += time.perf_counter() - began

    def receive(self, timeout: float | None) -> Reply | None:
        began = time.perf_counter()
        try:
            return self._nodes.receive(timeout)
        finally:
            self.seconds += time.perf_counter() - began

    def __getattr__(self, name: str) -> Any:
        return getattr(self._nodes, name)


def rounds(nodes: FlowerNodes, clients: int, elements: int, count: int) -> list[Spent]:
    """Return what each round but the first took."""
    start = np.random.default_rng(0).normal(size=elements).astype("float32")
    parameters = Parameters(Layout.of({"w": ((elements,), "float32")}), {"float32": start})
    collector = FedAvg(personal=())
    spent = []
    for number in range(1, count + 2):
        watched = Watched(nodes)
        wall, cpu = time.perf_counter(), time.process_time()
        parameters = one(watched, collector, clients, parameters, number)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        spent.append(Spent(wall, cpu, wall - watched.seconds))
    return spent[1:]


def one(
    nodes: Any, collector: FedAvg, clients: int, parameters: Parameters, number: int
) -> Parameters:
    sent = [Instruction(number, f"client-{i}", parameters) for i in range(clients)]
    tally = RoundCounters()
    intake = SynchronousRound(nodes, Task("benchmark"), sent, parameters, lambda: None, tally)
    made = collector.aggregate(parameters, intake)
    if len(tally.accepted) != clients:
        some = dict([*tally.refused.items()][:3])
        raise SystemExit(f"{len(tally.accepted)} of {clients} updates came: {some}")
    return made


def row(work: str, spent: list[Spent], clients: int, **more: object) -> table.Row:
    wall = statistics.median(s.wall for s in spent)
    cpu = statistics.median(s.cpu for s in spent)
    made = {"work": work, "s_round": round(wall, 4), "cpu_client_round": round(cpu / clients, 4)}
    return said(made | more)


def said(made: table.Row) -> table.Row:
    print("  ".join(f"{k} {v}" for k, v in made.items()), flush=True)
    return made


def goal(what: str, found: float, asked: float, *, least: bool = False) -> table.Row:
    """Print how far a goal is reached: at most, or at least, what was asked."""
    reached = found >= asked if least else found <= asked
    bound = "at least" if least else "at most"
    told = f"{'' if reached else 'NOT '}reached: {found:.3g}, asked {bound} {asked:g}"
    print(f"    {what}: {told}", flush=True)
    return {"goal": what, "found": round(found, 4), "asked": asked, "reached": reached}


def tiny(quick: bool) -> Iterator[table.Row]:
    for count in (2, 10) if quick else (2, 10, 50):
        with fleet_of(count, count) as (_, nodes):
            spent = rounds(nodes, count, 1000, 5 if quick else 20)
            made = row(f"{count} executors, 1,000 numbers", spent, count)
        yield made
        if count == 2:
            yield goal("seconds of a round", made["s_round"], 0.3)
        else:  # half of what a stock SuperLink was measured to take
            yield goal("CPU seconds a client and round", made["cpu_client_round"], 0.1)


def many(quick: bool) -> Iterator[table.Row]:
    """1,000 clients behind 10 executors, beside 10 clients, a message each, as many bytes."""
    count, turns = 10, 3 if quick else 15
    clients = 100 if quick else 1000
    works = {
        f"{clients} clients behind 10 executors": (clients, 1000),
        "10 clients of as many executors, as many bytes": (count, 1000 * clients // count),
        "10 clients of as many executors": (count, 1000),
    }
    spent: dict[str, list[Spent]] = {name: [] for name in works}
    with fleet_of(count, clients, count) as (_, crowd, few):
        for _ in range(turns):  # in turn: what else the machine does falls on all of them
            for name, (number, elements) in works.items():
                nodes = crowd if number == clients else few
                spent[name] += rounds(nodes, number, elements, 1)
    for name, (number, _) in works.items():
        yield row(name, spent[name], number)
    took = [[each.wall for each in one] for one in spent.values()]
    for what, others in (("10 clients of as many bytes", took[1]), ("10 clients", took[2])):
        ratio = statistics.median(a / b for a, b in zip(took[0], others, strict=True))
        yield goal(f"times {what}", ratio, 1.2)


def large(quick: bool) -> Iterator[table.Row]:
    """A large model and three nodes, beside the same bytes through Flower with nothing done."""
    megabytes, turns = (20, 2) if quick else (100, 5)
    elements = megabytes * 2**18
    with fleet_of(3, 3) as (link, nodes):
        found: dict[str, list[Spent]] = {"Flower alone": [], "aeros": []}
        for _ in range(turns):
            found["aeros"] += rounds(nodes, 3, elements, 1)
            values = np.random.default_rng().normal(size=elements).astype("float32")
            found["Flower alone"].append(raw(link, values))
    speeds = {}
    for name, spent in found.items():
        speeds[name] = 2 * 3 * megabytes / statistics.median(s.wall for s in spent)
        yield row(f"{megabytes} MB, 3 nodes, {name}", spent, 3, mb_s=round(speeds[name]))
    share = statistics.median(s.beside / s.wall for s in found["aeros"])
    yield goal(
        "of Flower's own transfer", speeds["aeros"] / speeds["Flower alone"], 0.7, least=True
    )
    yield goal("share of check and aggregation", share, 0.1)


def standing(quick: bool) -> Iterator[table.Row]:
    """The same, with a controller that stands by in another process, as `aeros up` starts it."""
    megabytes, turns = (20, 2) if quick else (100, 5)
    elements, found = megabytes * 2**18, dict[str, float]()
    with fleet_of(3, 3) as (_, within), aside() as link, fleet_of(3, 3, link=link) as (_, nodes):
        spent: dict[str, list[Spent]] = {"within the run": [], "standing by": []}
        for _ in range(turns):
            spent["within the run"] += rounds(within, 3, elements, 1)
            spent["standing by"] += rounds(nodes, 3, elements, 1)
        small = rounds(nodes, 3, 1000, 5)
    for name, some in spent.items():
        found[name] = 2 * 3 * megabytes / statistics.median(s.wall for s in some)
        yield row(f"{megabytes} MB, 3 nodes, {name}", some, 3, mb_s=round(found[name]))
    yield row("3 executors, 1,000 numbers, standing by", small, 3)
    yield goal(
        "of a SuperLink within", found["standing by"] / found["within the run"], 0.0, least=True
    )


@contextlib.contextmanager
def aside() -> Iterator[Any]:
    """Start a controller that stands by, and yield a line to it."""
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        command = [sys.executable, "-m", "aeros_flower.superlink.standby.server", str(port)]
        process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
        try:
            while not (Path(folder) / "line").exists():
                time.sleep(0.1)
            time.sleep(0.5)
            yield standby_session(Path(folder), f"127.0.0.1:{port}", None, _never, 10.0, print)
        finally:
            process.kill()
            process.wait()


def _never() -> EmbeddedSuperLink:
    raise SystemExit("the controller that stands by has ended")


def raw(link: EmbeddedSuperLink, values: np.ndarray) -> Spent:
    """Send an array to all nodes and take theirs; nothing is checked or kept."""
    wall, cpu = time.perf_counter(), time.process_time()
    content = records(values)
    left = {str(link.push(n, content)) for n in link.nodes()}
    while left:
        for answer in link.pull(left):
            left.discard(answer.message)
        if left:
            link.wait(1.0)
    return Spent(time.perf_counter() - wall, time.process_time() - cpu, 0.0)


def memory(quick: bool) -> Iterator[table.Row]:
    """Peak memory of the controller's process, from two updates to twenty."""
    megabytes, counts = (50, (2, 8)) if quick else (100, (2, 20))
    peaks = []
    for clients in counts:
        words = ["--peak-of", str(clients), str(megabytes)]
        out = subprocess.run(
            [sys.executable, __file__, *words], check=True, capture_output=True, text=True
        ).stdout
        peaks.append(int(out.split()[-1]))
        yield said({"work": f"{clients} updates of {megabytes} MB", "peak_mb": peaks[-1]})
    yield goal("times the peak with two updates", peaks[1] / peaks[0], 1.1)


def peak_of(clients: int, megabytes: int) -> None:
    with fleet_of(2, clients, window=2 * megabytes * 2**20) as (_, nodes):
        rounds(nodes, clients, megabytes * 2**18, 1)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(next(int(x.split()[1]) // 1024 for x in status.splitlines() if x.startswith("VmHWM")))


def plain(quick: bool) -> Iterator[table.Row]:
    """Two executors, and two stock nodes under `flwr run`, in the same minute."""
    with fleet_of(2, 2) as (_, nodes):
        ours = row("2 executors, 1,000 numbers", rounds(nodes, 2, 1000, 5 if quick else 20), 2)
    yield ours
    wall = statistics.median(stock_rounds(2 if quick else 5))
    yield said({"work": "plain flwr run, 2 stock nodes", "s_round": round(wall, 4)})
    yield goal("times as long as ours", wall / float(ours["s_round"]), 20, least=True)


def same(quick: bool) -> Iterator[table.Row]:
    """One experiment in one process and over three executors, in ordered mode."""
    task = [f"task.rounds={2 if quick else 10}", "task.ordered=true"]
    with tempfile.TemporaryDirectory() as folder:

        def aeros(*words: str) -> None:
            command = [sys.executable, "-m", "aeros_core.cli.main", *words]
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=900)

        def digest(path: str) -> str:
            found = Path(folder).glob(f"{path}/result.json")
            return str(json.loads(next(found).read_text())["model"]["digest"])

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        aeros("run", *task, "hydra.run.dir=local", "repository.path=one")
        aeros("up", "--nodes", "3", "--port", str(port))
        try:
            aeros("run", "deployment=flower", *task, "hydra.run.dir=flower")
        finally:
            aeros("down")
        bits = digest("local") == digest("flower")
    yield said({"work": "digits, local and flower", "same_bits": bits})
    yield goal("the same bits", float(bits), 1, least=True)


CASES = {
    "plain": plain, "same": same, "tiny": tiny, "many": many, "large": large,
    "standing": standing, "memory": memory,
}  # fmt: skip


def main() -> None:
    if sys.argv[1:2] == ["--peak-of"]:
        peak_of(int(sys.argv[2]), int(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer nodes, smaller models")
    parser.add_argument("--json", metavar="FILE", help="write the rows there too")
    parser.add_argument("--only", choices=CASES, action="append", help="these cases alone")
    options = parser.parse_args()
    table.heading(PACKAGES)
    rows: list[table.Row] = []
    for name in options.only or CASES:
        rows += CASES[name](options.quick)
    table.write(options.json, rows, PACKAGES)


if __name__ == "__main__":
    main()
