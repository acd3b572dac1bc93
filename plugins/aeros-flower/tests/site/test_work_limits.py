"""Bounds of time and memory, in processes of their own."""

import subprocess
import sys

import pytest

from aeros_flower.site import work_limits


def run(code, **options):
    words = [sys.executable, "-c", "from aeros_flower.site import work_limits\n" + code]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, **options)


def test_python_is_interrupted_and_goes_on():
    done = run(
        "try:\n"
        "    with work_limits.limited_time(0.2):\n"
        "        while True:\n"
        "            try:\n"
        "                1 / 0\n"
        "            except Exception: pass\n"  # no part takes it for its own error
        "except work_limits.OutOfTime:\n"
        "    print('over')\n"
    )
    assert (done.returncode, done.stdout) == (0, "over\n"), done.stderr


@pytest.mark.parametrize("where", ["main", "thread"])
def test_what_no_interrupt_reaches_ends_the_process(where):
    code = (
        "import itertools, threading\n"
        "work_limits.GRACE = 0.2\n"
        "def work():\n"
        "    with work_limits.limited_time(0.2):\n"
        "        sum(itertools.repeat(0))\n"  # keeps the interpreter's lock, and looks at no signal
        "{}\n"
        "print('never')\n"
    )
    call = "work()" if where == "main" else "t = threading.Thread(target=work); t.start(); t.join()"
    done = run(code.format(call))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Timeout" in done.stderr


def test_memory_is_refused_and_given_afterwards():
    done = run(
        "import numpy as np\n"
        "try:\n"
        "    with work_limits.limited_memory(400):\n"
        "        np.ones(2**26)\n"
        "except MemoryError:\n"
        "    print('over', len(np.ones(2**26)))\n"
    )
    assert (done.returncode, done.stdout) == (0, f"over {2**26}\n"), done.stderr


def test_no_bounds_change_nothing():
    with work_limits.limited_time(None), work_limits.limited_memory(None):
        assert work_limits.taken_mb() > 1
