"""Names of executors that were given none."""

import os
import platform
import subprocess
import sys

import pytest

from aeros_core.errors import ConfigError
from aeros_flower.executor import naming

ASK = """
import sys
from aeros_flower.executor import naming
print(naming.given(sys.argv[1], own=False), flush=True)
sys.stdin.read()
"""
HOST, HERE = platform.node(), "controller.example:1"


@pytest.fixture
def others():
    """A function that starts processes with names for an address; returns them."""
    running = []

    def start(count, address=HERE):
        for _ in range(count):
            process = subprocess.Popen(
                [sys.executable, "-c", ASK, address], stdin=-1, stdout=-1, text=True
            )
            running.append(process)
            yield process, process.stdout.readline().strip()

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture(autouse=True)
def free():
    yield
    while naming._HELD:
        os.close(naming._HELD.pop())


def test_the_first_is_called_as_the_machine_and_others_have_a_number(others):
    (first, name), *more = others(3)
    assert [name, *(name for _, name in more)] == [HOST, f"{HOST}-2", f"{HOST}-3"]
    first.kill()
    first.wait(300)
    assert naming.given(HERE, own=False) == HOST  # free again
    assert naming.given("another.example:1", own=False) == HOST


def test_data_of_its_own_go_by_a_name_that_stays(others):
    assert naming.given("another.example:2", own=True) == HOST
    next(others(1))
    with pytest.raises(ConfigError, match=f"is called {HOST} already") as refused:
        naming.given(HERE, own=True)
    assert "next: --name NAME" in str(refused.value)
