"""kill -9 of every component of a task over Flower, at every phase of a round."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked_python import completed

pytest.importorskip("aeros_flower")

ROUNDS = 4
NAMES = ("toy", "flower", "zarr")

KILLER = '''
"""`aeros run …` that kills at one phase of round 2: WHO PHASE WORDS…"""
import json, os, signal, sys, time
from pathlib import Path
from aeros_core.cli import main
from aeros_core.federated import selection
from aeros_flower.controller.nodes import FlowerNodes
from aeros_zarr.local import ZarrRepository

who, phase = sys.argv[1:3]
here = {"round": 0, "replies": 0, "done": False}


def kill():
    if here["done"]:
        return
    here["done"] = True
    told = json.loads(Path(".aeros/executors.json").read_text())["executors"]
    executors = [one["pid"] for one in told]
    superlink = [int(p.read_text()) for p in Path().glob("superlink.pid")]
    victims = {"controller": [], "executor": executors[:1], "all": executors + superlink,
               "superlink": superlink, "database": superlink}[who]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    Path("killed").touch()
    if who in ("controller", "all"):
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
    Path("trains").unlink(missing_ok=True)
    at("select")


def waiting(nodes, *_):
    if phase == "train" and here["round"] == 2 and not here["done"]:
        while not Path("trains").exists():
            time.sleep(0.005)
        kill()


def received(reply, *_):
    here["replies"] += reply is not None
    if here["replies"] == 3:
        at("receive")


around(selection, "stated", before=selecting)
around(FlowerNodes, "dispatch", after=lambda *_: at("send"))
around(FlowerNodes, "receive", before=waiting, after=received)
around(ZarrRepository, "commit", before=lambda *_: at("commit"), after=lambda *_: at("committed"))
sys.exit(main.main(sys.argv[3:]))
'''


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(done, seconds=300):
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends
        time.sleep(0.02)


@pytest.fixture
def aeros(command):
    """A function that runs `aeros …` to its end, and returns what it said."""

    def run(*words, code=0):
        ended = command(*words, names=NAMES, TOY_TRAINS="trains")
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    return run


@pytest.fixture
def up(aeros, port, tmp_path):
    """A function that starts two executors and returns their ids; they are ended afterwards."""
    listed = tmp_path / ".aeros" / "executors.json"

    def start():
        aeros("up", "--nodes", "2", "--port", str(port), "--alone")
        return [one["pid"] for one in json.loads(listed.read_text())["executors"]]

    yield start
    if listed.exists():
        aeros("down")


@pytest.fixture
def superlink(environment, port, tmp_path):
    """A function that starts a SuperLink as Flower ships it; it is ended afterwards."""
    running = []

    def start(*words):
        program = Path(sys.executable).with_name("flower-superlink")
        told = environment(FLWR_TELEMETRY_ENABLED="0", FLWR_DISABLE_UPDATE_CHECK="1",
                           FLWR_HOME=str(tmp_path / "flwr"))  # fmt: skip
        with (tmp_path / "superlink.log").open("a") as log:
            process = subprocess.Popen(
                [program, "--insecure", "--host", "127.0.0.1", "--port", str(port),
                 "--isolation", "process", *words],
                cwd=tmp_path, env=told, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        running.append(process)
        (tmp_path / "superlink.pid").write_text(str(process.pid))
        return process

    yield start
    for process in running:
        process.kill()
        process.wait(300)


@pytest.fixture
def killer(environment, logged):
    """A function that starts a run that kills; returns the process and its log."""

    def start(*words):
        return logged([sys.executable, "-c", KILLER, *words], env=environment(*NAMES))

    return start


@pytest.fixture(scope="module")
def undisturbed(environment, tmp_path_factory, digits):
    """A function that returns what a run comes to that nobody disturbs."""
    found = {}

    def run(*words):
        if words not in found:
            folder = tmp_path_factory.mktemp("local")
            command = ["-m", "aeros_core.cli.main", "run", *digits, *words]
            completed(command, cwd=folder, env=environment(*NAMES)).check_returncode()
            found[words] = result(folder)
        return found[words]

    return run


def result(folder):
    """Return the newest result of runs in a folder."""
    paths = sorted(folder.glob("outputs/*/*/result.json"), key=lambda p: p.stat().st_mtime_ns)
    return json.loads(paths[-1].read_text())


def same(folder, undisturbed):
    found = result(folder)
    assert found["rounds"] == ROUNDS
    assert found["model"]["digest"] == undisturbed["model"]["digest"]
    assert found["metrics"] == undisturbed["metrics"]


CODEC = ("collector/codec=coarse", "collector.codec.step=0.05")
"""What a codec could not send lies with the executors, and has to be there again."""


def kept(who):
    """Return words by which clients keep something, where no other executor takes them over."""
    return () if who == "executor" else CODEC


PHASES = ("select", "send", "train", "receive", "commit", "committed")


def cells(*whose, quick=()):
    """Return each component at each phase; all but the quick ones are left to the soak."""
    return [
        pytest.param(who, phase, marks=[] if (who, phase) in quick else pytest.mark.soak)
        for who in whose
        for phase in PHASES
    ]


@pytest.mark.parametrize(
    ("who", "phase"),
    cells("controller", "executor", "all", quick={("controller", "receive"), ("all", "train")}),
)
def test_a_kill_leaves_the_bits_of_an_undisturbed_run(
    aeros, up, killer, undisturbed, who, phase, port, tmp_path, digits
):
    """The SuperLink lives in the controller's process, and ends with it."""
    pids = up()
    words = ("run", "controller=flower", "controller.wait=300", *digits, *kept(who))
    process, log = killer(who, phase, *words)
    code = process.wait(300)
    assert (tmp_path / "killed").exists(), log.read_text()
    if who == "executor":
        assert code == 0, log.read_text()
    else:
        assert code == -signal.SIGKILL, log.read_text()
        if who == "all":
            until(lambda: not any(map(lives, pids)))
            up()
        aeros(*words, "task.resume=true")
    same(tmp_path, undisturbed(*kept(who)))


@pytest.mark.parametrize(
    "phase",
    [*(pytest.param(phase, marks=pytest.mark.soak) for phase in ("train", "receive")), "commit"],
)
def test_an_executor_that_comes_back_has_what_clients_kept(
    digits, up, killer, undisturbed, phase, tmp_path
):
    pids = up()
    told = Path(f"/proc/{pids[0]}")
    typed = told.joinpath("cmdline").read_bytes().decode().split("\0")[:-1]
    env = dict(w.split("=", 1) for w in told.joinpath("environ").read_text().split("\0") if w)
    words = ("run", "controller=flower", "controller.wait=300", *digits, *CODEC)
    process, log = killer("executor", phase, *words)
    until(lambda: (tmp_path / "killed").exists() or process.poll() is not None)
    assert (tmp_path / "killed").exists(), log.read_text()
    with (tmp_path / "back.log").open("w") as back:
        again = subprocess.Popen(typed, cwd=tmp_path, env=env, stdout=back, stderr=back)
    try:
        assert process.wait(300) == 0, log.read_text()
    finally:
        again.kill()
        again.wait(300)
    assert not lives(pids[0])
    same(tmp_path, undisturbed(*CODEC))


@pytest.mark.parametrize(
    ("who", "phase"),
    cells("superlink", "database", "controller", "executor", "all",
          quick={("superlink", "receive"), ("database", "train")}),
)  # fmt: skip
def test_a_superlink_elsewhere_is_waited_for(
    aeros, up, killer, superlink, undisturbed, who, phase, port, tmp_path, digits
):
    """With what it knew (its database) or without, and whatever else is killed."""
    stored = ("--database", "superlink.db") if who == "database" else ()
    first, pids = superlink(*stored), up()
    words = ("run", "controller=flower", f"controller.superlink=127.0.0.1:{port}",
             "controller.wait=300", *digits, *kept(who))  # fmt: skip
    process, log = killer(who, phase, *words)
    until(lambda: (tmp_path / "killed").exists() or process.poll() is not None)
    assert (tmp_path / "killed").exists(), log.read_text()
    if who in ("superlink", "database", "all"):
        assert first.wait(300) == -signal.SIGKILL
        superlink(*stored)
    code = process.wait(300)
    if who in ("controller", "all"):
        assert code == -signal.SIGKILL, log.read_text()
        if who == "all":
            until(lambda: not any(map(lives, pids)))
            up()
        aeros(*words, "task.resume=true")
    else:
        assert code == 0, log.read_text()
    same(tmp_path, undisturbed(*kept(who)))


def test_a_superlink_that_stays_away_ends_the_run_which_can_go_on(
    aeros, up, killer, superlink, undisturbed, port, tmp_path, digits
):
    first, _ = superlink(), up()
    words = ("run", "controller=flower", f"controller.superlink=127.0.0.1:{port}", *digits)
    process, log = killer("superlink", "receive", *words, "controller.wait=8")
    assert process.wait(100) == 1
    assert first.wait(300) == -signal.SIGKILL
    said = log.read_text()
    assert f"the SuperLink at 127.0.0.1:{port} is lost" in said
    assert f"the SuperLink at 127.0.0.1:{port} could not be reached for 8 s" in said
    assert "task.resume=true" in said
    assert "Traceback" not in said
    superlink()
    aeros(*words, "controller.wait=100", "task.resume=true")
    same(tmp_path, undisturbed())
