"""Many executors, each with a connection of its own, and a tiny model."""

import re
import socket

import pytest
from forked_python import completed, python

pytest.importorskip("aeros_flower")

FLEET = '''
"""So many executors in one process: ADDRESS NUMBER."""
import sys, threading
from pathlib import Path
from aeros_flower.executor.executor import Executor
from aeros_flower.protocol.executor_info import ExecutorInfo
from aeros_flower.executor.fleet_client import FleetClient, Lost
from aeros_flower.security.probe import check

address = sys.argv[1]


def connect():
    if not check(address, None, insecure=True):
        raise Lost("nobody answers")
    return FleetClient(address, insecure=True)


names = [f"n{i:02d}" for i in range(int(sys.argv[2]))]
made = [Executor(ExecutorInfo(name, state=Path(name)), connect, wait=300.0) for name in names]
threads = [threading.Thread(target=one.run) for one in made]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
'''

WORDS = ("experiment=null", "repository=files", "transformer=[blobs,even,scale]",
         "trainer=linear", "collector=mean", "transformer.even.clients=50",
         "transformer.blobs.examples=500", "task.rounds=3")  # fmt: skip


def test_fifty_executors_train_what_one_process_does(environment, command, tmp_path):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    told = environment("toy", "flower")
    with (tmp_path / "fleet.log").open("w") as log:
        fleet = python(["-c", FLEET, f"127.0.0.1:{port}", "50"],
                       env=told, cwd=tmp_path, stdout=log, stderr=log)  # fmt: skip
    try:
        over = completed(
            ["-m", "aeros_core.cli.main", "run", *WORDS, "controller=flower",
             f"controller.port={port}", "controller.nodes=50", "controller.wait=200"],
            env=told, cwd=tmp_path, timeout=400,
        )  # fmt: skip
    finally:
        fleet.kill()
        fleet.wait(300)
    assert over.returncode == 0, over.stdout + over.stderr
    there = set(re.findall(r"executor (n\d\d) takes part", over.stderr))
    assert len(there) == 50
    local = command("run", *WORDS, "task.name=local", names=("toy",))
    assert figures(over.stdout) == figures(local.stdout)
    assert len(figures(local.stdout)) == 3


def figures(text):
    """Return loss and accuracy of each round, as they were printed."""
    return [line.split()[2:6] for line in text.splitlines() if line.startswith("round ")]
