"""Whole processes: killed, interrupted, started with other plugins installed."""

import json
import re
import signal
import subprocess
import sys
import time

import pytest

from aeros_core.plugins.discovery import discover
from aeros_core.plugins.registry import Health

WORDS = (
    "task.rounds=4",
    "collector.momentum=0.9",
    "task.cohort=3",
    "transformer.even.clients=5",
    "task.evaluation.federated=true",
)
"""A task in which the seed, the cohort and the collector's state all matter."""


UNDRAWN = """
import sys
from aeros_core.cli import main
from aeros_core.reporting import curves
curves.draw = lambda runs, path, title: None
sys.exit(main.main())
"""
"""The command without its pictures, which take longer than the toy task."""


def read(folder):
    """Return the result in a run's directory, without what differs from run to run."""
    told = json.loads((folder / "result.json").read_text())
    del told["seconds"]
    return told


def written(folder):
    """Return how many rounds are written down in a run's directory."""
    path = folder / "rounds.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def wait_for(process, folder, rounds):
    """Wait until so many rounds are written down; fails when the process ends before."""
    ends = time.monotonic() + 60
    while written(folder) < rounds:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < ends, "waited too long"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, environment, toy_words):
    """The result of the task when nothing happens to it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    command = [sys.executable, "-c", UNDRAWN, "run", *toy_words, *WORDS, "hydra.run.dir=run"]
    env = environment("toy", PYTHONHASHSEED="1")
    subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True, timeout=300)
    return read(folder / "run")


def test_a_task_killed_in_mid_round_and_resumed_ends_with_the_same_bits(
    start, command, toy_words, tmp_path, undisturbed
):
    words = [*toy_words, *WORDS, "trainer.pause=0.15"]
    how = {"program": ("-c", UNDRAWN), "PYTHONHASHSEED": "2"}
    killed, again = tmp_path / "killed", tmp_path / "again"
    slow = start("run", *words, f"hydra.run.dir={killed}", **how)
    wait_for(slow, killed, 2)
    time.sleep(0.2)
    slow.send_signal(signal.SIGKILL)
    slow.communicate()
    assert slow.returncode == -signal.SIGKILL
    done = written(killed)
    assert 2 <= done < 4
    assert not (killed / "result.json").exists()

    resumed = command("run", *words, "task.resume=true", f"hydra.run.dir={again}", **how)
    assert resumed.returncode == 0, resumed.stderr
    assert f"goes on after round {done}" in resumed.stdout
    assert read(again) == undisturbed
    assert written(again) == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_a_task_interrupted_in_mid_round_says_so_and_keeps_what_was_committed(
    start, toy_words, tmp_path, number
):
    slow = start("run", *toy_words, *WORDS, "trainer.pause=0.15", "hydra.run.dir=stopped")
    folder = tmp_path / "stopped"
    wait_for(slow, folder, 1)
    slow.send_signal(number)
    out, err = slow.communicate(timeout=300)
    done = written(folder)
    assert slow.returncode == 1
    assert 1 <= done < 4
    assert re.fullmatch(
        rf"aeros: interrupted; rounds 1 to {done} are committed in run task-\S+\n"
        r"  next: the same command with task\.resume=true goes on\n",
        err,
    )
    assert out.splitlines()[-1].startswith(f"task: INTERRUPTED after {done} round")
    ended = read(folder)
    assert (ended["status"], ended["rounds"], ended["model"]) == ("INTERRUPTED", done, {})
    lines = (folder / "rounds.jsonl").read_text().splitlines()
    assert [json.loads(line)["round"] for line in lines] == list(range(1, done + 1))


def test_a_sweep_that_is_interrupted_begins_no_further_job(start, toy_words, tmp_path):
    words = ["-m", "task.seed=0,1", "trainer.pause=0.15", "hydra.sweep.dir=sweep"]
    slow = start("run", *toy_words, *WORDS, *words, program=("-c", UNDRAWN))
    wait_for(slow, tmp_path / "sweep/0", 1)
    slow.send_signal(signal.SIGINT)
    _, err = slow.communicate(timeout=300)
    assert slow.returncode == 1
    assert "aeros: interrupted; rounds 1 to " in err
    assert "Traceback" not in err
    assert read(tmp_path / "sweep/0")["status"] == "INTERRUPTED"
    assert not (tmp_path / "sweep/1").exists()


def test_installing_every_plugin_changes_no_result(
    command, toy_words, tmp_path, undisturbed, monkeypatch
):
    """They are all loaded, and none of them is chosen."""
    monkeypatch.delenv("AEROS_PLUGINS", raising=False)
    loaded = {plugin.name for plugin in discover().plugins if plugin.status is Health.OK}
    if not loaded - {"core", "toy"}:
        pytest.skip("no other plugin is installed")
    how = {"program": ("-c", UNDRAWN), "AEROS_PLUGINS": None}
    done = command("run", *toy_words, *WORDS, "hydra.run.dir=run", **how)
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "run") == undisturbed


# ---------------------------------------------------------------- what is imported


HEAVY = {
    "torch",
    "numba",
    "flwr",
    "zarr",
    "numcodecs",
    "pandas",
    "pyarrow",
    "sklearn",
    "matplotlib",
}
SHOW = """
import sys
from aeros_core.cli import main
code = main.main(sys.argv[1:])
print("imported", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(
    "words", [["plugins"], ["plugins", "--json"], ["--help"], ["--version"]], ids=" ".join
)
def test_looking_around_imports_nothing_heavy(command, words):
    """With every plugin that is installed loaded."""
    done = command(*words, program=("-c", SHOW), AEROS_PLUGINS=None)
    assert done.returncode == 0
    imported = set(done.stderr.splitlines()[-1].split()[1:])
    assert "aeros_core" in imported
    assert ("toy" in imported) == (words[0] in ("plugins", "--help"))
    assert imported & (HEAVY | {"hydra", "omegaconf", "numpy", "rich", "toy_parts"}) == set()


def test_a_task_imports_of_a_plugin_only_what_it_chose(command, toy_words):
    words = [*toy_words, "task.rounds=1", "transformer=[thin]"]  # thin loads no data
    done = command("run", *words, program=("-c", SHOW), names=("toy", "misfit"))
    assert done.returncode == 2
    imported = set(done.stderr.splitlines()[-1].split())
    assert imported >= {"misfit", "toy_parts"}
    assert "misfit_parts" not in imported
    assert imported & HEAVY == set()
