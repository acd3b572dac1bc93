"""Whatever becomes of the console: the run ends well, and its result is stored."""

import json
import os
import pty
import shlex
import signal
import subprocess
import sys

import pytest

from aeros_core.cli import arguments

AEROS = shlex.join([sys.executable, "-m", "aeros_core.cli.main"])
RUN = "run experiment=digits task.rounds=3"
WAYS = {
    "head": "{run} | head -1; exit ${{PIPESTATUS[0]}}",
    "no reader": "{run} | true; exit ${{PIPESTATUS[0]}}",
    "both into a pipe": "{run} 2>&1 | head -1; exit ${{PIPESTATUS[0]}}",
    "stdout closed": "{run} >&-",
    "stderr closed": "{run} 2>&-",
    "both closed": "{run} >&- 2>&-",
    "all closed": "{run} <&- >&- 2>&-",
    "stdout full": "{run} > /dev/full",
    "stderr full": "{run} 2> /dev/full",
    "both full": "{run} > /dev/full 2>&1",
}


def typed(folder, command):
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder, capture_output=True, text=True, timeout=500,
    )  # fmt: skip


def status(folder):
    repository, _ = arguments.repository([f"repository.path={folder / 'aeros-repository'}"])
    assert len(repository.runs("digits")) == 1
    [result] = folder.glob("outputs/*/*/result.json")
    told = json.loads(result.read_text())
    return told["status"], told["rounds"]


OFTEN = {"head", "all closed", "stdout full"}
"""A reader that leaves, no console at all, and a full one; the others are for the soak."""


@pytest.mark.parametrize(
    "way", [way if way in OFTEN else pytest.param(way, marks=pytest.mark.soak) for way in WAYS]
)
def test_a_run_outlasts_its_console(tmp_path, way):
    done = typed(tmp_path, WAYS[way].format(run=f"{AEROS} {RUN}"))
    assert done.returncode == 0, done.stderr
    assert status(tmp_path) == ("FINISHED", 3)
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    if way == "stdout full":
        assert done.stderr.count("standard output takes no more (No space left on device)") == 1


def test_a_terminal_that_goes_away(tmp_path):
    """Its end of the line is closed, and nobody sends a signal."""
    here, there = pty.openpty()
    process = subprocess.Popen(
        [*shlex.split(AEROS), *RUN.split()],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=there, stderr=there, start_new_session=True,
    )  # fmt: skip
    os.close(there)
    os.read(here, 1)  # the bar is drawn
    os.close(here)
    assert process.wait(timeout=500) == 0
    assert status(tmp_path) == ("FINISHED", 3)


def test_a_hangup_ends_a_run_as_ctrl_c_does(aeros):
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under nohup
    try:
        process = aeros.start("run", "experiment=digits", "task.rounds=100000")
    finally:
        signal.signal(signal.SIGHUP, before)
    try:
        assert process.stdout.readline().startswith("task digits")
        process.send_signal(signal.SIGHUP)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 1, out
    assert err.startswith("aeros: ")
    assert "Traceback" not in err


def test_who_reads_results_is_told_of_a_full_disk(tmp_path):
    done = typed(tmp_path, f"{AEROS} plugins > /dev/full")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("aeros: No space left on device\n")
    assert done.stderr.count("\n") == 2
    assert typed(tmp_path, f"{AEROS} plugins >&-").stderr == ""
