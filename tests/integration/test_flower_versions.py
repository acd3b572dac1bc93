"""Another version of Flower: its stock nodes, its public API, and the same bits."""

import os
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("aeros_flower")
import httpx
from process_tree import children

from aeros_flower.security.certificates import Authority
from aeros_flower.system.versions import TRIED

NAMES = ("toy", "flower")
TASK = ("experiment=null", "repository=files", "transformer=[blobs,even,scale]", "trainer=linear",
        "collector=mean", "task.ordered=true", "task.rounds=2")  # fmt: skip
OTHER = "1.40.0"
SAID = f"flwr {OTHER} is installed, not {TRIED}: stock nodes and Flower's public API are used"


@pytest.fixture
def named(environment, tmp_path):
    """The environment of a process in which the installed flwr says that it is another."""
    told = environment(*NAMES)
    folder = tmp_path / "named" / f"flwr-{OTHER}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: flwr\nVersion: {OTHER}\n")
    return told | {"PYTHONPATH": f"{folder.parent}{os.pathsep}{told['PYTHONPATH']}"}


@pytest.fixture
def real(environment, tmp_path):
    """The environment of a process that has another flwr; its other packages are as they are."""
    into = str(tmp_path / "other")
    words = ["-m", "pip", "install", "-q", "--no-deps", "--target", into, f"flwr=={OTHER}"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"flwr {OTHER} cannot be installed here: {done.stderr.strip()[-200:]}")
    told = environment(*NAMES)
    return told | {"PYTHONPATH": f"{into}{os.pathsep}{told['PYTHONPATH']}"}


@pytest.fixture
def aeros(tmp_path):
    """A function that starts `aeros …` in an environment; all are ended afterwards."""
    running = []

    def start(told, *words):
        name = f"{words[0]}-{len(running)}.log"
        with (tmp_path / name).open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "aeros_core.cli.main", *map(str, words)],
                cwd=tmp_path, env=told, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        running.append(process)
        return process, tmp_path / name

    yield start
    for process in running:
        process.kill()
        process.wait(300)


def ended(process, log, code=0):
    assert process.wait(300) == code, log.read_text()
    return log.read_text()


def figures(text):
    """Return loss and accuracy of each round, as they were printed."""
    return [line.split()[2:6] for line in text.splitlines() if line.startswith("round ")]


def over(aeros, told, port, *more):
    """Start two executors and a run over them; return the run and its log."""
    for name in ("a", "b"):
        aeros(told, "executor", f"127.0.0.1:{port}", "--name", name)
    words = ("run", *TASK, "controller=flower", f"controller.port={port}", "controller.nodes=2")
    return aeros(told, *words, "controller.wait=250", *more)


@pytest.mark.soak
@pytest.mark.parametrize("which", ["named", "real"])
def test_its_own_nodes_take_part_and_leave_the_same_bits(aeros, request, which, port, environment):
    told = request.getfixturevalue(which)
    said = ended(*over(aeros, told, port, "task.name=over"))
    assert SAID in said
    assert {"executor a takes part", "executor b takes part"} <= set(said.splitlines())
    here = ended(*aeros(environment(*NAMES), "run", *TASK))
    assert figures(said) == figures(here)
    assert len(figures(here)) == 2


@pytest.mark.soak
def test_over_tls_an_admitted_node_takes_part_and_a_stranger_reaches_nothing_else(
    aeros, named, port, tmp_path
):
    home = Authority(tmp_path / "aeros-certs")
    home.make([], days=1)
    home.node("edge")
    process, log = aeros(
        named, "run", *TASK, "controller=flower", f"controller.port={port}", "controller.wait=250",
        f"controller.certificate={home.server}", f"controller.key={home.server_key}",
        f"controller.admitted={home.nodes}",
    )  # fmt: skip
    until(lambda: "waiting at" in log.read_text(), process, log)
    trusted = ssl.create_default_context(cafile=home.ca)
    with httpx.Client(verify=trusted, timeout=60) as stranger:
        closed = {"control/list-runs": 404, "runtime/get-nodes": 404,
                  "fleet/register-node": 401, "fleet/pull-messages": 401}  # fmt: skip
        for path, status in closed.items():
            url = f"https://127.0.0.1:{port}/v1/{path}"
            assert stranger.post(url).status_code == status
    aeros(named, "executor", f"127.0.0.1:{port}", "--name", "edge", "--ca", home.ca,
          "--key", home.folder / "edge.key")  # fmt: skip
    assert "executor edge takes part" in ended(process, log)


@pytest.mark.soak
def test_its_superlink_is_started_again_when_it_is_killed(aeros, named, port, environment):
    process, log = over(aeros, named, port, "task.rounds=3")
    until(lambda: "round 1/3" in log.read_text(), process, log)
    [leash] = [pid for pid in children(process.pid) if "flower-superlink" in words(pid)]
    [superlink] = [pid for pid in children(leash) if "flower-superlink" in words(pid)]
    os.kill(superlink, signal.SIGKILL)
    said = ended(process, log)
    assert f"the SuperLink at 127.0.0.1:{port} is lost" in said
    assert f"the SuperLink at 127.0.0.1:{port} is back" in said
    here = ended(*aeros(environment(*NAMES), "run", *TASK, "task.rounds=3"))
    assert figures(said) == figures(here)


@pytest.mark.soak
def test_nothing_of_flower_is_left_when_a_controller_is_killed(aeros, named, port):
    process, log = over(aeros, named, port)
    until(lambda: "takes part" in log.read_text(), process, log)
    begun = [pid for pid in children(process.pid) if "flower-superlink" in words(pid)]
    begun += [found for pid in begun for found in children(pid)]
    assert begun
    process.kill()
    ends = time.monotonic() + 60
    while any(map(words, begun)):
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_with_too_old_a_flower_both_sides_say_what_to_install(aeros, named, port, tmp_path):
    old = tmp_path / "named" / f"flwr-{OTHER}.dist-info" / "METADATA"
    old.write_text(old.read_text().replace(OTHER, "1.20.0"))
    run = ("run", *TASK, "controller=flower", f"controller.port={port}")
    for begun in (run, ("executor", f"127.0.0.1:{port}")):
        said = ended(*aeros(named, *begun), code=2)
        assert "flwr 1.20.0 is installed, and is too old" in said
        assert f"pip install flwr=={TRIED}" in said
        assert "Traceback" not in said


def until(done, process, log, seconds=250):
    ends = time.monotonic() + seconds
    while not done():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < ends, log.read_text()
        time.sleep(0.05)


def words(pid):
    """Return the command line of a process; empty once it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
