"""Figures of a task that runs: asked of the controller and of its executor."""

import json
import re
import time
import urllib.error
import urllib.request

import pytest

pytest.importorskip("aeros_flower")
from aeros_flower.http.server import listen
from aeros_flower.metrics import PHASES

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


def test_controller_and_executor_say_where_time_goes(start, tmp_path):
    port, here, there = free(), free(), free()
    start("executor", f"127.0.0.1:{port}", "--name", "edge", "--metrics", str(there), names=NAMES)
    task = start(
        "run", "experiment=null", "repository=files", "transformer=[blobs,even,scale]",
        "trainer=linear", "trainer.pause=0.05", "collector=mean", "controller=flower",
        f"controller.port={port}", "controller.wait=200", "task.name=watched",
        "task.rounds=500", "callback=[metrics]", f"callback.metrics.port={here}", names=NAMES,
    )  # fmt: skip
    text = scraped(here, r'^aeros_rounds_total\{task="watched"\} [2-9]')
    spent = {
        p: figure(text, f'aeros_last_round_seconds{{phase="{p}",task="watched"}}') for p in PHASES
    }
    assert spent["train"] >= 0.05  # at least one client's pause, as its executor says
    assert sum(spent.values()) >= 6 * 0.05  # six clients behind one executor
    [path] = tmp_path.glob("outputs/*/*/rounds.jsonl")
    for one in map(json.loads, path.read_text().splitlines()[:2]):
        kept = one["seconds"]
        parts = [kept[p] for p in ("select", "send", "work", "receive", "aggregate", "evaluate")]
        assert sum(parts) == pytest.approx(kept["total"], abs=0.01)
        assert kept["work"] >= 0.05
        assert kept["work"] + kept["receive"] >= 6 * 0.05
    assert figure(text, 'aeros_bytes_total{direction="received",task="watched"}') > 0
    assert figure(text, 'aeros_status{status="RUNNING",task="watched"}') == 1
    text = scraped(there, r'^aeros_executor_messages_total\{what="train"\}')
    assert figure(text, 'aeros_executor_seconds_total{what="train"}') >= 0.3
    assert figure(text, 'aeros_executor_info{name="edge"}') == 1
    assert figure(text, 'aeros_executor_bytes_total{direction="received"}') > 36  # the model
    assert figure(text, 'aeros_executor_bytes_total{direction="sent"}') > 6 * 36
    assert "aeros_round" not in text
    task.kill()


def test_who_is_silent_or_refused_is_counted(start, tmp_path):
    port, here = free(), free()
    for name, pause in (("good", "0"), ("bad", "0"), ("slow", "30")):
        words = ("--name", name, "--own", "--same-user", "--set", f"trainer.pause={pause}")
        start("executor", f"127.0.0.1:{port}", *words, names=NAMES)
    task = start(
        "run", "experiment=null", "repository=files", "transformer=[blobs,even,scale]",
        "trainer=linear", "trainer.poison=[bad]", "collector=mean", "controller=flower",
        f"controller.port={port}", "controller.nodes=3", "controller.wait=200",
        "task.name=watched", "task.deadline=2", "task.rounds=500",
        "callback=[metrics]", f"callback.metrics.port={here}", names=NAMES,
    )  # fmt: skip
    text = scraped(here, r'^aeros_rounds_total\{task="watched"\} [2-9]', seconds=100)
    task.kill()
    assert figure(text, 'aeros_stragglers_total{task="watched"}') >= 1
    assert figure(text, 'aeros_dropped_total{kind="not finite",task="watched"}') >= 2
    [path] = tmp_path.glob("outputs/*/*/rounds.jsonl")
    first = json.loads(path.read_text().splitlines()[0])
    assert set(first["nodes"]) == {"good"}
    assert first["dropped"] == {"bad": {"not finite": 1}, "slow": {"no reply": 1}}
    assert set(first["refused"]) == {"bad", "slow"}
