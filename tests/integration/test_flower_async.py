"""An asynchronous run over executors with data of their own, which are killed at any moment."""

import json
import random
import re
import signal
import time

import pytest

pytest.importorskip("aeros_flower")
pytest.importorskip("aeros_aggregators")

NAMES = ("toy", "flower", "zarr", "aggregators")
SITES = ("clinic", "hospital", "surgery")
TASK = (
    "experiment=null", "repository=zarr", "transformer=[blobs,even,scale]", "trainer=linear",
    "collector=fedbuff", "collector.buffer=2", "task.evaluation.every=1000", "task.name=sites",
)  # fmt: skip


EXECUTOR = """
import sys
from aeros_core.cli.main import main
from aeros_flower.executor import fleet_client

fleet_client._INTERVAL = 10.0  # the least that Flower allows
sys.exit(main())
"""
"""An executor that is missed a third sooner."""

WAITS = re.compile(
    "waits for executors: (none is there|0 of 1 executor that a round needs are there)"
    "; gone: clinic, hospital, surgery"
)
"""It is said while replies are awaited, or before anything is asked."""


def until(done, process, log, seconds=200):
    ends = time.monotonic() + seconds
    while not done():
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < ends, log.read_text()[-3000:]
        time.sleep(0.05)


def rounds(tmp_path):
    """Return what is recorded of each round of the newest run."""
    path = max(tmp_path.glob("outputs/*/*/rounds.jsonl"), key=lambda p: p.stat().st_mtime_ns)
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


@pytest.fixture
def site(environment, logged, port):
    """A function that starts an executor with data of its own."""
    import sys

    def start(name, again=""):
        words = ("executor", f"127.0.0.1:{port}", "--name", name, "--own", "--state", name,
                 "--same-user")  # fmt: skip
        command = [sys.executable, "-c", EXECUTOR, *words]
        return logged(command, name=name + again, env=environment(*NAMES))[0]

    return start


@pytest.fixture
def begun(environment, logged, port):
    """A function that starts a run over all sites; returns the process and its log."""
    import sys

    def start(*words):
        told = ("controller=flower", f"controller.port={port}", "controller.nodes=3", *words)
        command = [sys.executable, "-m", "aeros_core.cli.main", "run", *TASK, *told]
        return logged(command, env=environment(*NAMES))

    return start


def counted(tmp_path):
    try:
        return len(rounds(tmp_path))
    except ValueError:
        return 0


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 20))]
)
def test_a_site_that_is_killed_holds_nobody_up_and_may_come_back(site, begun, tmp_path, seed):
    """With ``task.cohort`` at all of them the run stood still for ever once it was missed."""
    rng = random.Random(seed)
    running = {name: site(name) for name in SITES}
    process, log = begun("task.cohort=3", "task.rounds=1000000", "controller.wait=200")
    until(lambda: counted(tmp_path) > rng.randrange(1, 40), process, log)
    time.sleep(rng.random() / 5)
    victim = rng.choice(SITES)
    running[victim].kill()
    until(lambda: f"executor {victim} is gone" in log.read_text(), process, log)
    done = counted(tmp_path)
    until(lambda: counted(tmp_path) > done + 20, process, log)
    site(victim, again="-again")
    takes = f"executor {victim} takes part"
    until(lambda: log.read_text().count(takes) == 2, process, log)
    done = counted(tmp_path)
    until(lambda: any(victim in r["nodes"] for r in rounds(tmp_path)[done:]), process, log)
    process.send_signal(signal.SIGINT)
    assert process.wait(300) == 1, log.read_text()[-3000:]


@pytest.mark.soak
def test_with_all_sites_gone_it_waits_and_goes_on_when_one_is_back(site, begun, tmp_path):
    running = {name: site(name) for name in SITES}
    process, log = begun("task.cohort=3", "task.rounds=1000000", "controller.wait=200")
    until(lambda: counted(tmp_path) > 5, process, log)
    for one in running.values():
        one.kill()
    until(lambda: WAITS.search(log.read_text()), process, log)
    done = counted(tmp_path)
    site("hospital", again="-again")
    until(lambda: counted(tmp_path) > done + 20, process, log)
    assert all(set(r["nodes"]) <= set(SITES) for r in rounds(tmp_path))
    process.send_signal(signal.SIGINT)
    assert process.wait(300) == 1, log.read_text()[-3000:]


def test_with_all_sites_gone_it_ends_in_time_and_can_go_on(site, begun, tmp_path):
    running = {name: site(name) for name in SITES}
    process, log = begun("task.cohort=3", "task.rounds=1000000", "controller.wait=15")
    until(lambda: counted(tmp_path) > 5, process, log)
    for one in running.values():
        one.kill()
    assert process.wait(150) == 1
    said = log.read_text()
    assert "0 of 1 executor that a round needs are there; gone: clinic, hospital, surgery" in said
    assert "task.resume=true" in said
    assert "Traceback" not in said
    done = counted(tmp_path)
    for name in SITES:
        site(name, again="-again")
    process, log = begun(
        "task.cohort=3", f"task.rounds={done + 10}", "controller.wait=200", "task.resume=true"
    )
    assert process.wait(200) == 0, log.read_text()[-3000:]
    assert f"goes on after round {done}" in log.read_text()
