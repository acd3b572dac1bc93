"""kill -9 of every component of a task over Flower, at every phase of a round."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("aeros_flower")

ROUNDS = 4
TASK = (f"task.rounds={ROUNDS}", "task.name=digits")

KILLER = '''
"""`aeros run …` that kills at one phase of round 2: WHO PHASE WORDS…"""
import json, os, signal, sys
from pathlib import Path
from aeros_core import cli, cohort
from aeros_flower.nodes import FlowerNodes
from aeros_zarr.repository import ZarrRepository

who, phase = sys.argv[1:3]
here = {"round": 0, "replies": 0, "done": False}


def kill():
    if here["done"]:
        return
    here["done"] = True
    told = json.loads(Path(".aeros/executors.json").read_text())["executors"]
    victims = {"controller": [], "executor": told[:1], "all": told}[who]
    for one in victims:
        os.kill(one["pid"], signal.SIGKILL)
    Path("killed").touch()
    if who != "executor":
        os.kill(os.getpid(), signal.SIGKILL)


def at(name):
    if name == phase and here["round"] == 2:
        kill()


def around(owner, name, before=lambda *_: None, after=lambda *_: None):
    real = getattr(owner, name)
    def wrapped(*given, **named):
        before(*given)
        found = real(*given, **named)
        after(found, *given)
        return found
    setattr(owner, name, wrapped)


def selecting(task, nodes, number, *_):
    here["round"], here["replies"] = number, 0
    at("select")


def waiting(nodes, *_):
    if phase == "train" and here["round"] == 2 and not here["done"]:
        kept = nodes._post._state.message_ins_store
        while not any(kept[m].metadata.delivered_at for m in nodes._sent if m in kept):
            nodes._post.wait(0.01)
        kill()


def received(reply, *_):
    here["replies"] += reply is not None
    if here["replies"] == 3:
        at("receive")


around(cohort, "select", before=selecting)
around(FlowerNodes, "dispatch", after=lambda *_: at("send"))
around(FlowerNodes, "receive", before=waiting, after=received)
around(ZarrRepository, "commit", before=lambda *_: at("commit"), after=lambda *_: at("committed"))
sys.exit(cli.main(sys.argv[3:]))
'''


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def up(aeros, port):
    """A function that starts two executors; they are ended afterwards."""
    listed = aeros.folder / ".aeros" / "executors.json"

    def start():
        aeros("up", "--nodes", "2", "--port", str(port))
        return [one["pid"] for one in json.loads(listed.read_text())["executors"]]

    yield start
    if listed.exists():
        aeros("down")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    command = [sys.executable, "-m", "aeros_core.cli", "run", *TASK]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=300)
    [found] = folder.glob("outputs/*/*/result.json")
    return json.loads(found.read_text())


WHO = ("controller", "executor", "all")  # the SuperLink lives in the controller's process
PHASES = ("select", "send", "train", "receive", "commit", "committed")
QUICK = {("controller", "receive"), ("all", "train")}


@pytest.mark.parametrize(
    ("who", "phase"),
    [
        pytest.param(who, phase, marks=[] if (who, phase) in QUICK else pytest.mark.soak)
        for who in WHO
        for phase in PHASES
    ],
)
def test_a_kill_leaves_the_bits_of_an_undisturbed_run(aeros, up, undisturbed, who, phase, port):
    pids = up()
    words = ("run", "deployment=flower", "controller.wait=300", *TASK)
    log = aeros.folder / "run.log"
    with log.open("w") as said:
        command = [sys.executable, "-c", KILLER, who, phase, *words]
        process = subprocess.Popen(command, cwd=aeros.folder, stdout=said, stderr=said)
    try:
        code = process.wait(400)
    finally:
        process.kill()
        process.wait(60)
    assert (aeros.folder / "killed").exists(), log.read_text()
    if who == "executor":
        assert code == 0, log.read_text()
    else:
        assert code == -signal.SIGKILL, log.read_text()
        if who == "all":
            ends = time.monotonic() + 60
            while any(map(lives, pids)) and time.monotonic() < ends:
                time.sleep(0.05)
            assert not any(map(lives, pids))
            up()
        aeros(*words, "task.resume=true")
    result = aeros.result()
    assert result["rounds"] == ROUNDS
    assert result["model"]["digest"] == undisturbed["model"]["digest"]
    assert result["metrics"] == undisturbed["metrics"]
