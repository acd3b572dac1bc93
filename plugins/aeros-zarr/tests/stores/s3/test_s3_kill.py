"""A process that is killed between any two requests leaves the old state or the new one."""

import itertools
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from endpoints import repository

from aeros_zarr.archive.models import stored_models

WORK = """
import os, sys
from pathlib import Path
from conftest import Examples
from endpoints import repository

for line in sys.stdin:
    if child := os.fork():
        print(os.waitpid(child, 0)[1], flush=True)
        continue
    store = repository(sys.argv[1], Path(line.strip()))
    print(os.getpid(), flush=True)
    os.read(0, 1)
    store.commit("a", Examples.checkpoint(2))
    store.publish(Examples.model(seed=2))
    os._exit(0)
"""
"""Forks a process for each path; what it imports takes longer than all of its work."""


@pytest.fixture
def workers(faulty):
    """A process that forks one for each folder that it is told."""
    words = [sys.executable, "-c", WORK, faulty.url]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2], env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        yield process
        process.kill()


def prepared(url, path, examples):
    store = repository(url, path)
    store.begin(examples.run())
    store.commit("a", examples.checkpoint(1))
    store.publish(examples.model(seed=1))


def killed(server, workers, path, k):
    """Do the work, and kill it before its k-th request arrives; tell whether it came to that."""
    counter = itertools.count()

    def deadly(method, path):
        if next(counter) >= k:
            os.kill(pid, signal.SIGKILL)
            return "drop"
        return None

    def say(text):
        workers.stdin.write(text)
        workers.stdin.flush()

    say(f"{path}\n")
    pid = int(workers.stdout.readline())  # it has opened the repository
    server.fault = deadly
    say(".")
    status = int(workers.stdout.readline())
    server.fault = lambda method, path: None
    assert os.WIFSIGNALED(status) or status == 0
    return os.WIFSIGNALED(status)


def goes_on(url, path, examples):
    """Look with a new process's eyes at what is there, and go on from it; tell what was there."""
    store = repository(url, path)
    latest = store.latest("a")
    number, versions = latest.round.number, [info.version for info in store.models("model")]
    assert latest.parameters.digest == examples.checkpoint(number).parameters.digest
    assert [r.number for r in store.history("a")] == list(range(1, number + 1))
    for version in versions:
        found = store.model("model", version).parameters
        assert found.digest == examples.parameters(version).digest
    assert set(store.verify().values()) == {""}
    store.commit("a", examples.checkpoint(number + 1))
    store.publish(examples.model(seed=len(versions) + 1))
    again = repository(url, path)
    assert again.latest("a").round.number == number + 1
    assert [info.version for info in again.models()] == [*versions, len(versions) + 1]
    assert set(again.verify().values()) == {""}
    return number, len(versions)


def test_before_any_request(s3, faulty, workers, tmp_path, examples):
    seen = []
    for k in itertools.count():
        path = tmp_path / str(k)
        prepared(s3, path, examples)
        ended = not killed(faulty, workers, path, k)
        seen.append(goes_on(s3, path, examples))
        if ended:
            break
    states = [state for state, _ in itertools.groupby(seen)]
    assert states == [(1, 1), (2, 1), (2, 2)]
    assert len(seen) > 8


# ---------------------------------------------------------------- clocks


@pytest.mark.parametrize("where", ["disk", "bucket"])
@pytest.mark.parametrize("days", [-10, 10])
def test_a_clock_that_is_wrong_removes_nothing_young(
    request, tmp_path, examples, monkeypatch, where, days
):
    """The age of a blob is told by the clock of the place where it lies."""
    if where == "disk":
        store = examples.store(tmp_path)
    else:
        store = repository(request.getfixturevalue("s3"), tmp_path)
    store.publish(examples.model())
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + days * 86400)
    stored = {"a": (examples.parameters(5).vector, {})}
    store._blobs.put("blobs", stored)
    assert store.collect(3600.0) == {}
    assert store.publish(examples.model(seed=5)).version == 2
    assert set(store.verify().values()) == {""}


def test_versions_are_ordered_by_number_whatever_the_clocks_say(examples, tmp_path, monkeypatch):
    class Clock:
        hour = 23

        @classmethod
        def now(cls, zone):
            cls.hour -= 1
            return datetime(2026, 1, 1, cls.hour, tzinfo=zone)

    monkeypatch.setattr(stored_models, "datetime", Clock)
    store = examples.store(tmp_path)
    for seed in (1, 2, 3):
        store.publish(examples.model(seed=seed))
    infos = store.models()
    assert [info.created for info in infos] == sorted((i.created for i in infos), reverse=True)
    assert store.model("model").parameters.digest == examples.parameters(3).digest
