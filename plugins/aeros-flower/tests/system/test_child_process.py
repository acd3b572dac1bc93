"""Programs that end with whoever started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aeros_flower.system import child_process

BEGUN = """
import sys, time
from pathlib import Path
Path(sys.argv[1]).write_text(str(__import__("os").getpid()))
time.sleep(float(sys.argv[2]))
sys.exit(7)
"""

PARENT = """
import sys, time
from aeros_flower.system.child_process import start_child
start_child([sys.executable, *sys.argv[1:]])
time.sleep(60)
"""


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(done, seconds=300):
    ends = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < ends
        time.sleep(0.01)
    return found


def ended(process, code):
    assert process.wait(300) == code
    process.stdin.close()


@pytest.fixture
def program(tmp_path):
    """Words that write a process id into a file, and sleep."""
    script, told = tmp_path / "program.py", tmp_path / "pid"
    script.write_text(BEGUN)

    def make(seconds):
        return [str(script), str(told), str(seconds)], lambda: until(
            lambda: told.exists() and told.read_text() and int(told.read_text())
        )

    return make


def test_it_passes_on_how_a_program_ended(program):
    words, _ = program(0)
    ended(child_process.start_child([sys.executable, *words]), 7)


def test_a_program_ends_once_the_pipe_is_closed(program):
    words, begun = program(60)
    process = child_process.start_child([sys.executable, *words])
    pid = begun()
    process.stdin.close()
    assert process.wait(300) != 0
    assert not lives(pid)


def test_a_program_ends_with_a_process_that_is_killed(program):
    words, begun = program(60)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, *words])
    pid = begun()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(300)
    until(lambda: not lives(pid))


def test_programs_find_others_of_this_environment(tmp_path):
    words = ["python3" if (Path(sys.executable).parent / "python3").exists() else sys.executable,
             "-c", "import os; print(os.environ['PATH']); print(os.environ['MORE'])"]  # fmt: skip
    with (tmp_path / "log").open("w") as log:
        ended(child_process.start_child(words, {"MORE": "told"}, log), 0)
    path, more = (tmp_path / "log").read_text().split("\n")[:2]
    assert path.startswith(str(Path(sys.executable).parent))
    assert more == "told"
