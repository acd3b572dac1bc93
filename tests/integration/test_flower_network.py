"""Executors in another network namespace: delay, loss, and a line that is cut in mid-round."""

import contextlib
import fcntl
import heapq
import json
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("aeros_flower")

ROUNDS = 5
TASK = (f"task.rounds={ROUNDS}", "task.name=digits")
PYTHON = (sys.executable, "-m", "aeros_core.cli.main")
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


class Line:
    """Carries packets between two namespaces, later or never: netem, but on every kernel."""

    def __init__(self, names, delay, loss):
        self.delay, self.loss, self.cut, self.carried, self.lost = delay, loss, False, 0, 0
        self._ends, self._over = [_tun(name) for name in names], threading.Event()
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def _carry(self):
        dice, due, count = random.Random(0), [], 0
        first, second = self._ends
        while not self._over.is_set():
            left = max(due[0][0] - time.monotonic(), 0) if due else 0.1
            for end in select.select(self._ends, [], [], min(left, 0.1))[0]:
                packet = os.read(end, 65536)
                if self.cut or dice.random() < self.loss:
                    self.lost += 1
                    continue
                count += 1
                late = self.delay * dice.uniform(0.8, 1.2)
                other = second if end == first else first
                heapq.heappush(due, (time.monotonic() + late, count, other, packet))
            while due and due[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(due)
                with contextlib.suppress(OSError):  # that side is down
                    os.write(end, packet)
                    self.carried += 1

    def close(self):
        self._over.set()
        self._thread.join(10)
        for end in self._ends:
            os.close(end)


def _tun(name):
    end = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    except OSError:
        os.close(end)
        raise
    return end


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


@pytest.fixture
def line():
    """A line of 20 ms and 2 % loss between the namespaces ``here`` and ``there``."""
    if not shutil.which("ip"):
        pytest.skip("no `ip` (iproute2) here")
    tag = f"ae{os.getpid() % 100000}"
    sides = {f"{tag}h": "10.77.0.1/24", f"{tag}t": "10.77.0.2/24"}
    with contextlib.ExitStack() as undo:
        try:
            for side in sides:
                ip("netns", "add", side)
                undo.callback(ip, "netns", "del", side)
            made = Line(list(sides), 0.02, 0.02)
            undo.callback(made.close)
            for side, address in sides.items():
                ip("link", "set", side, "netns", side)
                ip("-n", side, "addr", "add", address, "dev", side)
                ip("-n", side, "link", "set", side, "up", "mtu", "1400")
                ip("-n", side, "link", "set", "lo", "up")
        except OSError as error:
            pytest.skip(f"no network namespaces or no /dev/net/tun here: {error}")
        made.here, made.there = sides
        yield made


@pytest.fixture
def inside(logged):
    """A function that starts `aeros …` in a namespace; returns the process and its log."""

    def start(side, name, *words):
        return logged(["ip", "netns", "exec", side, *PYTHON, *words], name)

    return start


def until(log, text, process, seconds=200):
    ends = time.monotonic() + seconds
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < ends, log.read_text()
        time.sleep(0.01)


@pytest.mark.parametrize("seconds", [5, pytest.param(75, marks=pytest.mark.soak)])
def test_a_line_that_is_cut_in_mid_round_leaves_the_bits(line, inside, aeros, tmp_path, seconds):
    """Shorter than nodes are given up after, and longer."""
    for name in ("a", "b"):
        inside(line.there, name, "executor", "10.77.0.1:9292", "--name", name, "--insecure")
    process, log = inside(
        line.here, "run", "run", "deployment=flower", "controller.host=10.77.0.1",
        "controller.insecure=true", "controller.nodes=2", "controller.wait=300", *TASK,
    )  # fmt: skip
    until(log, "round 2/", process)
    line.cut = True
    lost = line.lost
    time.sleep(seconds)
    assert f"round {ROUNDS}/" not in log.read_text()
    assert line.lost > lost  # somebody went on asking
    line.cut = False
    assert process.wait(300) == 0, log.read_text()
    [path] = tmp_path.glob("outputs/*/*/result.json")
    over = json.loads(path.read_text())
    aeros("run", *TASK, "repository.path=local")
    assert over["rounds"] == ROUNDS
    assert over["model"]["digest"] == aeros.result()["model"]["digest"]
    assert line.carried > 100
    assert Path(log).read_text().count("takes part") >= 2
