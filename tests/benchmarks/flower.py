"""Rounds over Flower: real ports, nodes in processes of their own, no training.

    python tests/benchmarks/flower.py [--quick] [--json FILE] [--only CASE]

Nodes send back what they were sent, so that everything measured is transport, checks and
aggregation. CPU is that of the controller's process, the SuperLink in it included.
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
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import table
from flower_stock import stock_rounds
from flwr.app import Array, ArrayRecord, RecordDict

from aeros_core.data import Partition
from aeros_core.elements import Description, this_machine
from aeros_core.messages import Instruction, Update
from aeros_core.parameters import Layout, Parameters
from aeros_flower import parcel, wire
from aeros_flower.fleet import Fleet
from aeros_flower.limits import Limits
from aeros_flower.link import Link
from aeros_flower.nodes import FlowerNodes
from aeros_flower.port import listen
from aeros_flower.roster import Roster

PACKAGES = ("aeros-flower", "flwr", "numpy")
PROCESSES = 5
"""Processes that nodes share: fifty interpreters would measure the machine's memory."""


# ---------------------------------------------------------------- nodes


def be_nodes(address: str, names: list[str]) -> None:
    """Run nodes of these names, a thread each, until this process is killed."""
    threads = [threading.Thread(target=node, args=(address, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def node(address: str, name: str) -> None:
    fleet = Fleet(address, insecure=True)
    element = asdict(this_machine(Description()))
    told = {"name": name, "own": False, "versions": {}, "element": element, "error": ""}
    while True:
        message = fleet.pull(10)
        if message is None:
            continue
        content = message.content
        if "aeros" not in content:
            answer = content  # the raw transfer
        elif parcel.kind_of(content) == "prepare":
            answer = wire.pack_note("prepared", told)
        else:
            answer = wire.pack_replies(echoes(wire.unpack_instructions(content)))
        fleet.push(answer, message, 0.0)


def echoes(instructions: list[Instruction]) -> list[Update]:
    return [Update(i.node, i.round, i.parameters, 1, {"loss": 0.0}) for i in instructions]


@contextlib.contextmanager
def fleet_of(count: int, clients: int, window: int = 2**30) -> Iterator[tuple[Link, FlowerNodes]]:
    """Start a SuperLink and so many nodes; end them all."""
    link = Link(listen("127.0.0.1", 0))
    names = [f"n{i:03d}" for i in range(count)]
    share = [names[i::PROCESSES] for i in range(min(PROCESSES, count))]
    processes = [
        subprocess.Popen([sys.executable, __file__, "--nodes-of", link.address, *some])
        for some in share
    ]
    try:
        roster = Roster(link, wire.pack_note("prepare", {}), lambda member: "", lambda text: None)
        while len(roster.members) < count:
            roster.refresh()
            link.wait(0.5)
            if any(process.poll() is not None for process in processes):
                raise SystemExit("a process of nodes ended")
        partition = Partition(np.arange(clients), np.arange(clients + 1))
        yield link, FlowerNodes(link, roster, partition, limits=Limits(window=window))
    finally:
        for process in processes:
            process.kill()
            process.wait()
        link.close()


# ---------------------------------------------------------------- rounds


def rounds(
    nodes: FlowerNodes, clients: int, elements: int, count: int
) -> list[tuple[float, float]]:
    """Return seconds and controller's CPU seconds of each round but the first."""
    parameters = Parameters.zeros(Layout.of({"w": ((elements,), "float32")}))
    spent = []
    for number in range(count + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        parameters = one(nodes, clients, parameters, number)
        spent.append((time.perf_counter() - wall, time.process_time() - cpu))
    return spent[1:]


def one(nodes: FlowerNodes, clients: int, parameters: Parameters, number: int) -> Parameters:
    nodes.dispatch([Instruction(number, f"client-{i}", parameters) for i in range(clients)])
    total = np.zeros_like(parameters.vector)
    for _ in range(clients):
        reply = nodes.receive(600.0)
        if not isinstance(reply, Update):
            raise SystemExit(f"{reply}")
        total += reply.parameters.vector
        del reply
    total /= np.float32(clients)
    return Parameters(parameters.layout, {"float32": total})


def row(work: str, spent: list[tuple[float, float]], clients: int, **more: object) -> table.Row:
    wall = statistics.median(w for w, _ in spent)
    cpu = statistics.median(c for _, c in spent)
    made = {"work": work, "s_round": round(wall, 4), "cpu_client_round": round(cpu / clients, 4)}
    print("  ".join(f"{k} {v}" for k, v in (made | more).items()), flush=True)
    return made | more


def tiny(quick: bool) -> Iterator[table.Row]:
    for count in (2, 10) if quick else (2, 10, 50):
        with fleet_of(count, count) as (_, nodes):
            goal = "0.3 s a round" if count == 2 else "0.1 CPU s a client and round"
            spent = rounds(nodes, count, 1000, 5 if quick else 20)
            yield row(f"{count} executors, 1,000 numbers", spent, count, goal=goal)


def many(quick: bool) -> Iterator[table.Row]:
    """1,000 clients behind 10 executors, beside 10 clients whose updates are as large."""
    count, turns = 10, 5 if quick else 20
    clients = 100 if quick else 1000
    with fleet_of(count, clients) as (_, nodes):
        spent = rounds(nodes, clients, 1000, turns)
        yield row(f"{clients} clients behind 10 executors", spent, clients)
    with fleet_of(count, count) as (_, nodes):
        spent = rounds(nodes, count, 1000, turns)
        yield row("10 clients of as many executors", spent, count, goal="the above within 20 %")


def large(quick: bool) -> Iterator[table.Row]:
    """A large model and three nodes, beside the same bytes through Flower with nothing done."""
    megabytes, turns = (20, 2) if quick else (100, 5)
    elements = megabytes * 2**18
    with fleet_of(3, 3) as (link, nodes):
        rates: dict[str, list[tuple[float, float]]] = {"raw": [], "aeros": []}
        for _ in range(turns):
            rates["aeros"] += rounds(nodes, 3, elements, 1)
            rates["raw"].append(raw(link, elements * 4))
    for name, spent in rates.items():
        wall = statistics.median(w for w, _ in spent)
        speed = round(2 * 3 * megabytes / wall)
        yield row(f"{megabytes} MB, 3 nodes, {name}", spent, 3, mb_s=speed)


def raw(link: Link, nbytes: int) -> tuple[float, float]:
    data = np.random.default_rng(0).bytes(nbytes)
    wall, cpu = time.perf_counter(), time.process_time()
    whole = ArrayRecord({"packed": Array("uint8", (nbytes,), "raw", data)})
    left = {str(link.push(n, RecordDict({"r": whole}))) for n in link.nodes()}
    while left:
        for answer in link.pull(left):
            left.discard(answer.message)
        if left:
            link.wait(1.0)
    return time.perf_counter() - wall, time.process_time() - cpu


def memory(quick: bool) -> Iterator[table.Row]:
    """Peak memory of the controller's process, from two updates to twenty."""
    megabytes, counts = (10, (2, 6)) if quick else (100, (2, 20))
    for clients in counts:
        words = ["--peak-of", str(clients), str(megabytes)]
        out = subprocess.run(
            [sys.executable, __file__, *words], check=True, capture_output=True, text=True
        ).stdout
        made = {"work": f"{clients} updates of {megabytes} MB", "peak_mb": int(out.split()[-1])}
        print("  ".join(f"{k} {v}" for k, v in made.items()), flush=True)
        yield made


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
    times = round(wall / float(str(ours["s_round"])), 1)
    made = {"work": "plain flwr run, 2 stock nodes", "s_round": round(wall, 4)}
    made |= {"times_slower": times, "goal": "20 times slower"}
    print("  ".join(f"{k} {v}" for k, v in made.items()), flush=True)
    yield made


def same(quick: bool) -> Iterator[table.Row]:
    """One experiment in one process and over three executors, in ordered mode."""
    task = [f"task.rounds={2 if quick else 10}", "task.ordered=true"]
    with tempfile.TemporaryDirectory() as folder:

        def aeros(*words: str) -> None:
            command = [sys.executable, "-m", "aeros_core.cli", *words]
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
    made = {"work": "digits, local and flower", "same_bits": bits, "goal": "the same bits"}
    print("  ".join(f"{k} {v}" for k, v in made.items()), flush=True)
    yield made


CASES = {"plain": plain, "same": same, "tiny": tiny, "many": many, "large": large, "memory": memory}


def main() -> None:
    if sys.argv[1:2] == ["--nodes-of"]:
        be_nodes(sys.argv[2], sys.argv[3:])
        return
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
