"""A killed process leaves the old state or the new one, never a mixture."""

import json
import os
import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("kills.py")
MEMORY = Path("/dev/shm")
# What is injected is the order of system calls; a real disk only makes it slow.
FOLDER = MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None


def attempts(work, chunk=2**24):
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), folder, work, str(chunk)],
            capture_output=True, text=True, timeout=120,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("work", "what", "states"),
    [
        ("commit", "rounds", [[1, 2, 3], [1, 2, 3, 4]]),
        ("again", "rounds", [[1, 2, 3]]),
        ("back", "rounds", [[1, 2, 3], [1, 2]]),
        ("publish", "versions", [[1], [1, 2]]),
        ("begin", "runs", [["a"], ["a", "b"]]),
        ("finish", "result", [1, 2]),
    ],
)
def test_before_any_system_call_and_within_any_file(work, what, states):
    for how, each in groupby(attempts(work), key=lambda attempt: attempt["how"]):
        found = list(each)
        assert all(attempt["intact"] for attempt in found)
        assert all(attempt["goes_on"] for attempt in found)
        assert [a["killed"] for a in found] == [True] * (len(found) - 1) + [False]
        seen = [state for state, _ in groupby(attempt[what] for attempt in found)]
        assert seen == states, how
        assert len(found) >= {"before_a_call": 5, "within_a_file": 2}[how]


def test_arrays_of_many_chunks_written_by_many_threads():
    found = attempts("commit", chunk=1500)
    assert sum(attempt["killed"] for attempt in found) > 20
    assert all(attempt["intact"] and attempt["goes_on"] for attempt in found)
    assert {attempt["latest"] for attempt in found} == {3, 4}
