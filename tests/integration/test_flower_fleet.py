"""Many executors, each with a connection of its own, and a tiny model."""

import re
import socket
import subprocess
import sys

import pytest

pytest.importorskip("aeros_flower")

FLEET = '''
"""So many executors in one process: ADDRESS NUMBER."""
import sys, threading
from pathlib import Path
from aeros_flower.executor import Executor
from aeros_flower.place import Place
from aeros_flower.fleet import Fleet, Lost
from aeros_flower.reach import check

address = sys.argv[1]


def connect():
    if not check(address, None, insecure=True):
        raise Lost("nobody answers")
    return Fleet(address, insecure=True)


names = [f"n{i:02d}" for i in range(int(sys.argv[2]))]
made = [Executor(Place(name, state=Path(name)), connect, wait=300.0) for name in names]
threads = [threading.Thread(target=one.run) for one in made]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
'''

WORDS = ("experiment=none", "repository=files", "transformer=[blobs,even,scale]",
         "trainer=linear", "collector=mean", "transformer.even.clients=50",
         "transformer.blobs.examples=500", "task.rounds=3")  # fmt: skip


def test_fifty_executors_train_what_one_process_does(environment, command, tmp_path):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    told = environment("toy", "flower")
    with (tmp_path / "fleet.log").open("w") as log:
        fleet = subprocess.Popen(
            [sys.executable, "-c", FLEET, f"127.0.0.1:{port}", "50"],
            env=told, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        over = subprocess.run(
            [sys.executable, "-m", "aeros_core.cli", "run", *WORDS, "controller=flower",
             f"controller.port={port}", "controller.nodes=50", "controller.wait=200"],
            env=told, cwd=tmp_path, capture_output=True, text=True, timeout=400,
        )  # fmt: skip
    finally:
        fleet.kill()
        fleet.wait(60)
    assert over.returncode == 0, over.stdout + over.stderr
    there = set(re.findall(r"executor (n\d\d) takes part", over.stderr))
    assert len(there) == 50
    local = command("run", *WORDS, "task.name=local", names=("toy",))
    assert figures(over.stdout) == figures(local.stdout)
    assert len(figures(local.stdout)) == 3


def figures(text):
    """Return loss and accuracy of each round, as they were printed."""
    return [line.split()[2:6] for line in text.splitlines() if line.startswith("round ")]
