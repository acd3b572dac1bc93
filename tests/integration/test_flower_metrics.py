"""Figures of a task that runs: asked of the controller and of its executor."""

import re
import time
import urllib.error
import urllib.request

import pytest

pytest.importorskip("aeros_flower")
from aeros_flower.metrics import PHASES
from aeros_flower.port import listen

NAMES = ("toy", "flower")


def free():
    with listen("127.0.0.1", 0) as door:
        return door.getsockname()[1]


def scraped(port, until, seconds=300):
    """Return the figures of an endpoint once they hold a pattern."""
    ends, text = time.monotonic() + seconds, ""
    while time.monotonic() < ends and not re.search(until, text, re.M):
        time.sleep(0.1)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as said:
                text = said.read().decode()
        except OSError:
            continue
    assert re.search(until, text, re.M), text
    return text


def figure(text, name):
    return float(re.search(rf"^{re.escape(name)} (\S+)", text, re.M).group(1))


def test_controller_and_executor_say_where_time_goes(start):
    port, here, there = free(), free(), free()
    start("executor", f"127.0.0.1:{port}", "--metrics", str(there), names=NAMES)
    task = start(
        "run", "experiment=none", "repository=files", "transformer=[blobs,even,scale]",
        "trainer=linear", "trainer.pause=0.05", "collector=mean", "controller=flower",
        f"controller.port={port}", "controller.wait=200", "task.name=watched",
        "task.rounds=500", "callback=[metrics]", f"callback.metrics.port={here}", names=NAMES,
    )  # fmt: skip
    text = scraped(here, r'^aeros_rounds_total\{task="watched"\} [2-9]')
    spent = {
        p: figure(text, f'aeros_last_round_seconds{{phase="{p}",task="watched"}}') for p in PHASES
    }
    assert min(spent.values()) >= 0
    assert spent["train"] >= 0.05  # at least one client's pause, as its executor says
    assert sum(spent.values()) >= 6 * 0.05  # six clients behind one executor
    assert figure(text, 'aeros_bytes_total{direction="received",task="watched"}') > 0
    assert figure(text, 'aeros_status{status="RUNNING",task="watched"}') == 1
    text = scraped(there, r'^aeros_executor_messages_total\{what="train"\}')
    assert figure(text, 'aeros_executor_seconds_total{what="train"}') >= 0.3
    task.kill()
