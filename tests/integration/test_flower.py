"""Tasks over Flower: real processes on loopback, and what is left when they are killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked_python import completed

pytest.importorskip("aeros_flower")

ROUNDS = 6
TASK = (f"task.rounds={ROUNDS}", "task.name=digits")


class Fleet:
    """Executors of one folder, started by `aeros up`."""

    def __init__(self, aeros, port):
        self.aeros, self.port = aeros, port
        self.folder = aeros.folder / ".aeros"

    def up(self, nodes):
        out = self.aeros.apart("up", "--nodes", str(nodes), "--port", str(self.port))
        assert out.startswith(f"a controller and {nodes} executors stand by at port {self.port}")

    def refused(self):
        return self.aeros.apart("up", "--port", str(self.port), code=2)

    def down(self):
        if (self.folder / "executors.json").exists():
            self.aeros.apart("down")

    @property
    def pids(self):
        """Process ids of the executors, and that of the controller last."""
        told = json.loads((self.folder / "executors.json").read_text())
        controller, *executors = [one["pid"] for one in told["executors"]]
        return [*executors, controller]

    def words(self, nodes, *more):
        return (
            "deployment=flower", f"controller.port={self.port}", f"controller.nodes={nodes}",
            "controller.wait=300", *TASK, *more,
        )  # fmt: skip


@pytest.fixture
def fleet(aeros, port):
    made = Fleet(aeros, port)
    yield made
    made.down()


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def local(folder, *more):
    """Return the result of the same experiment in one process."""
    words = ["-m", "aeros_core.cli.main", "run", *TASK, *more]
    completed(words, cwd=folder).check_returncode()
    (found,) = folder.glob("outputs/*/*/result.json")
    return json.loads(found.read_text())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return local(tmp_path_factory.mktemp("local"))


def same(result, undisturbed):
    assert result["rounds"] == ROUNDS
    assert result["model"]["digest"] == undisturbed["model"]["digest"]
    assert result["metrics"] == undisturbed["metrics"]


def test_the_default_experiment_gives_the_same_bits_on_three_executors(aeros, fleet, undisturbed):
    fleet.up(3)
    pids = fleet.pids
    assert all(map(lives, pids))
    assert "a controller and 3 executors of .aeros run already" in fleet.refused()
    aeros.apart("run", "deployment=flower", *TASK)  # it finds what up started, and where
    same(aeros.result(), undisturbed)
    assert aeros.apart("down") == "a controller and 3 executors ended\n"
    assert not any(map(lives, pids))
    assert "nothing was started" in aeros.apart("down", code=2)


@pytest.mark.soak
def test_real_mnist_gives_the_same_bits_on_three_executors(
    aeros, fleet, real_data, tmp_path_factory
):
    words = (
        "experiment=mnist",
        f"transformer.mnist.path={real_data / 'mnist'}",
        "task.rounds=3",
        "trainer.engine=sequential",
    )  # fmt: skip - it has no kernels to compile
    fleet.up(3)
    aeros.apart("run", *fleet.words(3), *words)
    alone = local(tmp_path_factory.mktemp("mnist"), *words)
    found = aeros.result()
    assert (found["rounds"], found["dropped"]) == (3, {})
    assert found["metrics"] == alone["metrics"]
    assert found["model"]["digest"] == alone["model"]["digest"]
    assert found["metrics"]["accuracy"] > 0.2  # ten classes


@pytest.mark.soak
def test_a_killed_controller_goes_on_where_it_was_with_executors_that_came_back(
    aeros, fleet, undisturbed
):
    fleet.up(2)
    for rounds in (1, 3):
        aeros.kill_after(rounds, *fleet.words(2, "task.resume=true"))
    aeros.apart("run", *fleet.words(2, "task.resume=true"))
    same(aeros.result(), undisturbed)


@pytest.mark.soak
def test_the_clients_of_a_killed_executor_go_to_another(aeros, fleet, undisturbed):
    fleet.up(2)
    process = aeros.start("run", *fleet.words(2))
    for line in process.stdout:
        if line.startswith("round 2/"):
            break
    os.kill(fleet.pids[0], signal.SIGKILL)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, out + err
    assert "executor-1 is gone" in err
    same(aeros.result(), undisturbed)


@pytest.mark.soak
def test_when_everything_was_killed_everything_can_be_started_again(aeros, fleet, undisturbed):
    fleet.up(2)
    aeros.kill_after(2, *fleet.words(2))
    for pid in fleet.pids:
        os.kill(pid, signal.SIGKILL)
    ends = time.monotonic() + 60
    while any(map(lives, fleet.pids)) and time.monotonic() < ends:
        time.sleep(0.05)
    fleet.up(2)
    aeros.apart("run", *fleet.words(2, "task.resume=true"))
    same(aeros.result(), undisturbed)


@pytest.mark.soak
def test_what_clients_keep_for_themselves_outlives_everything(aeros, fleet, tmp_path_factory):
    more = ("collector/codec=topk", "task.cohort=7")  # with error feedback: residuals stay
    fleet.up(2)
    aeros.kill_after(3, *fleet.words(2, *more))
    for pid in fleet.pids:
        os.kill(pid, signal.SIGKILL)
    ends = time.monotonic() + 60
    while any(map(lives, fleet.pids)) and time.monotonic() < ends:
        time.sleep(0.05)
    fleet.up(2)
    aeros.apart("run", *fleet.words(2, "task.resume=true", *more))
    same(aeros.result(), local(tmp_path_factory.mktemp("local"), *more))


def test_without_executors_a_run_ends_and_says_what_to_type(aeros, port):
    err = aeros.apart(
        "run", "deployment=flower", f"controller.port={port}", "controller.wait=1", *TASK, code=1
    )
    assert "0 of 1 executor came within 1 s" in err
    assert f"aeros executor 127.0.0.1:{port}" in err


def test_a_port_that_is_taken_is_a_mistake_with_a_way_out(aeros):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        err = aeros.apart("run", "deployment=flower", f"controller.port={taken}", *TASK, code=2)
    assert f"controller.port={taken}" in err
    assert "Traceback" not in err


def test_an_executor_without_what_the_task_needs_is_named_before_the_first_round(aeros, fleet):
    only = {k: v for k, v in os.environ.items() if not k.startswith("AEROS_")}
    only["AEROS_PLUGINS"] = "transforms,flower"
    fleet.folder.mkdir()
    words = ["-m", "aeros_core.cli.main", "executor", f"127.0.0.1:{fleet.port}", "--name", "bare"]
    process = subprocess.Popen(
        [sys.executable, *words], env=only, stderr=subprocess.DEVNULL, cwd=aeros.folder
    )
    try:
        err = aeros.apart("run", *fleet.words(1), code=2)
    finally:
        process.kill()
        process.wait()
    assert "executors cannot take part: bare: aeros-torch" in err
    assert "is needed, it has none" in err
