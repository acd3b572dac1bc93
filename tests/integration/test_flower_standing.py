"""A controller that stands by between runs: found, shared by nobody, and killed."""

import itertools
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

NAMES = ("toy", "flower", "zarr")


def result(folder):
    """Return the newest result of runs in a folder."""
    paths = sorted(folder.glob("outputs/*/*/result.json"), key=lambda p: p.stat().st_mtime_ns)
    return json.loads(paths[-1].read_text())


@pytest.fixture
def over(digits):
    return ("run", "controller=flower", "controller.wait=100", *digits)


@pytest.fixture
def aeros(command):
    """A function that runs `aeros …` to its end, and returns what it said."""

    def run(*words, code=0):
        ended = command(*words, names=NAMES)
        assert ended.returncode == code, ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr
        return ended.stdout + ended.stderr

    return run


@pytest.fixture
def pids(aeros, port, tmp_path):
    """Process ids by name of a controller and two executors, ended afterwards."""
    said = aeros("up", "--nodes", "2", "--port", str(port))
    assert said.startswith(f"a controller and 2 executors stand by at port {port}")
    told = json.loads((tmp_path / ".aeros" / "executors.json").read_text())["executors"]
    yield {one["name"]: one["pid"] for one in told}
    if (tmp_path / ".aeros" / "executors.json").exists():
        aeros("down")


@pytest.fixture
def begun(environment, logged, over):
    """A function that starts a run and returns it and its log once a round is over."""

    def start(*words):
        command = [sys.executable, "-m", "aeros_core.cli.main", *over, *words]
        process, log = logged(command, env=environment(*NAMES))
        ends = time.monotonic() + 100
        while "round 1/" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.01)
        return process, log

    return start


@pytest.fixture(scope="module")
def undisturbed(environment, tmp_path_factory, digits):
    folder = tmp_path_factory.mktemp("local")
    command = ["-m", "aeros_core.cli.main", "run", *digits]
    completed(command, cwd=folder, env=environment(*NAMES)).check_returncode()
    return result(folder)


def same(folder, undisturbed):
    found = result(folder)
    assert found["rounds"] == undisturbed["rounds"] == 4
    assert found["model"]["digest"] == undisturbed["model"]["digest"]


def connections(folder):
    return [p.read_text().count("is connected") for p in sorted(folder.glob(".aeros/exec*.log"))]


def test_two_runs_one_after_the_other_find_it_and_its_executors_stay(
    aeros, pids, undisturbed, tmp_path, over
):
    for name in ("first", "second"):
        aeros(*over, f"repository.path={name}")
        same(tmp_path, undisturbed)
    assert connections(tmp_path) == [1, 1]
    assert aeros("down") == "a controller and 2 executors ended\n"
    assert not any(map(lives, pids.values()))


def test_a_second_run_at_the_same_time_is_refused(aeros, pids, begun, undisturbed, tmp_path, over):
    process, _ = begun("task.rounds=40", "hydra.run.dir=long")
    said = aeros(*over, "repository.path=other", code=2)
    assert "one task at a time" in said
    assert "aeros up --port PORT" in said
    process.kill()
    process.wait(300)
    aeros(*over, "repository.path=other")  # the one that was killed holds nobody up
    same(tmp_path, undisturbed)


def test_a_run_that_is_killed_goes_on_with_the_executors_that_stayed(
    aeros, pids, begun, undisturbed, tmp_path, over
):
    process, _ = begun()
    process.kill()
    process.wait(300)
    aeros(*over, "task.resume=true")
    same(tmp_path, undisturbed)


def test_when_it_is_killed_the_run_listens_in_its_place(
    aeros, pids, begun, undisturbed, tmp_path, over
):
    process, log = begun()
    os.kill(pids["controller"], signal.SIGKILL)
    assert process.wait(200) == 0, log.read_text()
    said = log.read_text()
    assert "the controller of aeros up has ended; this run listens at 127.0.0.1:" in said
    same(tmp_path, undisturbed)
    aeros(*over, "repository.path=next")  # the next one finds that it is gone
    same(tmp_path, undisturbed)
    assert aeros("down") == "2 executors ended\n"


@pytest.mark.soak
def test_when_all_of_it_is_killed_all_of_it_can_be_started_again(
    aeros, pids, port, begun, undisturbed, tmp_path, over
):
    process, _ = begun()
    for pid in (process.pid, *pids.values()):
        os.kill(pid, signal.SIGKILL)
    process.wait(300)
    ends = time.monotonic() + 60
    while any(map(lives, pids.values())):
        assert time.monotonic() < ends
        time.sleep(0.02)
    aeros("up", "--nodes", "2", "--port", str(port))
    aeros(*over, "task.resume=true")
    same(tmp_path, undisturbed)


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_its_socket_is_its_users_alone_and_its_port_is_guarded(pids, port, tmp_path):
    import httpx

    assert (tmp_path / ".aeros" / "controller").stat().st_mode & 0o777 == 0o700
    for path in ("/v1/control/start-run", "/v1/runtime/acquire-task"):
        assert httpx.post(f"http://127.0.0.1:{port}{path}").status_code == 404


@pytest.mark.skipif(os.getuid() != 0, reason="only root can play another user")
def test_another_user_cannot_reach_it(pids, tmp_path):
    stranger = f"""
import os, socket
os.setgid(65534); os.setuid(65534)
with socket.socket(socket.AF_UNIX) as line:
    line.connect({str(tmp_path / ".aeros" / "controller" / "line")!r})
"""
    for parent in (tmp_path, *tmp_path.parents):
        parent.chmod(parent.stat().st_mode | 0o011)
    ended = subprocess.run([sys.executable, "-c", stranger], capture_output=True, text=True)
    assert "PermissionError" in ended.stderr


def test_with_options_that_it_does_not_have_a_run_says_so(aeros, pids, over):
    said = aeros(*over, "controller.admitted=nodes", code=2)
    assert "without TLS and keys" in said
    assert "aeros down" in said


def test_a_port_that_another_program_has_is_named(aeros):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        said = aeros("up", "--port", str(other.getsockname()[1]), code=2)
    assert "is taken, and not by a controller" in said


def test_another_folder_is_refused_the_port_and_found_by_its_name(
    aeros, port, undisturbed, tmp_path, over
):
    said = aeros("up", "--nodes", "1", "--port", str(port), "--folder", "hall")
    assert said.endswith("\naeros run deployment=flower controller.folder=hall\n")
    try:
        refused = aeros("up", "--nodes", "1", "--port", str(port), code=2)
        assert f"has the controller that aeros up started in {tmp_path / 'hall'}" in refused
        assert f"aeros down --folder {tmp_path / 'hall'} first" in refused
        aeros(*over, "controller.folder=hall")
        same(tmp_path, undisturbed)
    finally:
        aeros("down", "--folder", "hall")


def test_beside_a_superlink_executors_are_started_alone(aeros, port):
    from aeros_flower.http.server import listen
    from aeros_flower.superlink.embedded import EmbeddedSuperLink

    link = EmbeddedSuperLink(listen("127.0.0.1", port))
    try:
        said = aeros("up", "--nodes", "1", "--port", str(port))
        assert said.startswith(f"1 executor will find a controller at port {port}")
    finally:
        aeros("down")
        link.close()


@pytest.mark.soak
def test_an_executor_that_is_frozen_costs_less_and_less(pids, begun, tmp_path):
    process, log = begun("task.rounds=80", "task.deadline=2", "task.quorum=1")
    os.kill(pids["executor-2"], signal.SIGSTOP)
    try:
        assert process.wait(200) == 0, log.read_text()
    finally:
        os.kill(pids["executor-2"], signal.SIGCONT)
    [path] = tmp_path.glob("outputs/*/*/rounds.jsonl")
    done = [json.loads(line) for line in path.read_text().splitlines()]
    missed = [one["round"] for one in done if one["refused"]]
    assert all(one["seconds"]["total"] > 1.9 for one in done if one["refused"])
    assert 1 <= len(missed) <= 4
    gaps = [later - before for before, later in itertools.pairwise(missed)]
    assert all(gap > 5 for gap in gaps)
