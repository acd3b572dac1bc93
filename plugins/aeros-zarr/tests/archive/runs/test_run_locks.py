"""One process at a time goes on with a run; one that died is taken over, one that slept stops."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from endpoints import repository

from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.results import Result, Status
from aeros_core.roles.repository import SupportsRunLocks
from aeros_zarr.locks.file_lock import FileLock
from aeros_zarr.locks.messages import Locked
from aeros_zarr.locks.owner import Holder
from aeros_zarr.stores import lease, store
from aeros_zarr.stores.disk import Disk
from aeros_zarr.stores.lease import Lease

HOLDING = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from conftest import Examples
from endpoints import repository
url, path = sys.argv[2], Path(sys.argv[3])
store = repository(url, path) if url else Examples.store(path)
store.acquire("a")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["disk", "s3", "heedless"])
def place(request, tmp_path, examples):
    """Opens a repository again and again, and its URL if it is a bucket."""
    url = "" if request.param == "disk" else request.getfixturevalue(request.param)

    def opened():
        return repository(url, tmp_path) if url else examples.store(tmp_path)

    opened().begin(examples.run())
    return opened, url


@contextmanager
def holding(url, path):
    """Another process that holds run ``a``."""
    words = [sys.executable, "-c", HOLDING, str(Path(__file__).parents[2]), url, str(path)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def refused(opened):
    with pytest.raises(ConfigError) as caught:
        opened().acquire("a")
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_the_second_is_told_who_holds_it(place):
    opened, _ = place
    first = opened()
    assert isinstance(first, SupportsRunLocks)
    first.acquire("a")
    said = refused(opened)
    me = Holder.here()
    assert (
        f"run 'a' is held by another process: process {os.getpid()} of {me.host}, since 2" in said
    )
    assert f"kill {os.getpid()}, on {me.host}; then continue with" in said
    assert "task.resume=true" in said
    assert opened().latest("a") is None  # reading needs no lock
    first.release("a")
    first.release("a")
    second = opened()
    second.acquire("a")
    second.release("a")


def test_another_process_is_named_and_taken_over_once_it_is_killed(place, tmp_path):
    opened, url = place
    with holding(url, tmp_path) as process:
        assert f"process {process.pid} of " in refused(opened)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        store = opened()
        store.acquire("a")
    store.release("a")


def test_a_stopped_process_is_not_dead_for_a_folder(tmp_path, examples):
    examples.store(tmp_path).begin(examples.run())
    with holding("", tmp_path) as process:
        os.kill(process.pid, signal.SIGSTOP)
        assert f"process {process.pid} of " in refused(lambda: examples.store(tmp_path))
        os.kill(process.pid, signal.SIGCONT)


def test_a_lock_holds_in_a_folder_on_a_full_disk(tmp_path, monkeypatch):
    def full(descriptor, data, offset):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    lock = FileLock(tmp_path / "lock.json", Holder.here())
    with pytest.raises(Locked) as caught:
        FileLock(tmp_path / "lock.json", Holder.here())
    assert caught.value.holder is None
    lock.release()


def test_a_child_that_outlives_its_parent_holds_nothing(tmp_path):
    lock = FileLock(tmp_path / "lock.json", Holder.here())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(reading, 1)
        os._exit(0)
    lock.release()
    FileLock(tmp_path / "lock.json", Holder.here()).release()
    os.write(writing, b"x")
    os.waitpid(child, 0)
    for end in (reading, writing):
        os.close(end)


def test_where_files_cannot_be_locked_a_lease_is_taken(tmp_path, examples, monkeypatch):
    def none(path, holder):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("aeros_zarr.stores.disk.FileLock", none)
    first, second = examples.store(tmp_path), examples.store(tmp_path)
    first.begin(examples.run())
    first.acquire("a")
    assert "last heartbeat 0 s ago; if that process was killed, the run is free in 60 s" in refused(
        lambda: second
    )
    first.release("a")
    second.acquire("a")
    second.release("a")


# ---------------------------------------------------------------- leases


ELSEWHERE = replace(Holder.here(), host="edge-7", pid=7, system="other", token="other")


@pytest.fixture
def leased(s3, tmp_path, monkeypatch):
    """A bucket, and the age of the last heartbeat by its clock."""
    bucket = repository(s3, tmp_path)._store
    now = bucket.now
    late = [0.0]
    monkeypatch.setattr(bucket, "now", lambda: now() + late[0])
    monkeypatch.setattr(lease, "BEAT", 3600.0)
    return bucket, late


def test_a_lease_of_another_machine_ends_by_the_clock_of_the_endpoint(leased, monkeypatch):
    bucket, late = leased
    first = Lease(bucket, "runs/a/lock", ELSEWHERE)
    monkeypatch.setattr(time, "time", lambda: 4e9)  # the clock of this machine says nothing
    with pytest.raises(Locked) as caught:
        Lease(bucket, "runs/a/lock", Holder.here())
    assert caught.value.holder == ELSEWHERE
    late[0] = lease.LEASE + 1
    second = Lease(bucket, "runs/a/lock", Holder.here())
    assert bucket.files("runs/a/lock") == ["2.json"]
    second.check()
    first.check()  # it was renewed a moment ago by its own clock: nobody can have taken it
    monkeypatch.setattr(lease, "_now", lambda: 1e9)
    with pytest.raises(lease.Lost) as lost:
        first.check()
    assert lost.value.holder.pid == os.getpid()
    first.release()  # which is not the other one's
    assert Holder.of(bucket.read("runs/a/lock/2.json")).released is False
    second.release()
    assert Holder.of(bucket.read("runs/a/lock/2.json")).released is True


def test_what_is_no_holder_holds_nothing_for_ever(leased):
    bucket, late = leased
    bucket.replace("runs/a/lock/1.json", b"[]")
    with pytest.raises(Locked):
        Lease(bucket, "runs/a/lock", Holder.here())
    late[0] = lease.LEASE + 1
    Lease(bucket, "runs/a/lock", Holder.here()).release()


def test_of_those_who_take_it_over_at_once_one_gets_it(leased):
    bucket, late = leased
    Lease(bucket, "runs/a/lock", ELSEWHERE)
    late[0] = lease.LEASE + 1
    taken, create = [], bucket.create

    def slowly(key, data):
        if not taken:
            taken.append(key)
            taken.append(Lease(bucket, "runs/a/lock", ELSEWHERE))
        return create(key, data)

    bucket.create = slowly
    with pytest.raises(Locked):
        Lease(bucket, "runs/a/lock", Holder.here())


def test_a_holder_renews_it(leased, monkeypatch):
    bucket, _ = leased
    monkeypatch.setattr(lease, "BEAT", 0.01)
    held = Lease(bucket, "runs/a/lock", Holder.here())
    first = held._renewed
    end = time.monotonic() + 60
    while held._renewed == first and time.monotonic() < end:
        time.sleep(0.01)
    assert held._renewed > first
    held.release()


def test_one_that_was_taken_over_stores_nothing_more(s3, tmp_path, examples, monkeypatch):
    """It slept, another process went on with the run: it stops, whatever it was about to do."""
    first, second = repository(s3, tmp_path), repository(s3, tmp_path)
    first.begin(examples.run())
    first.acquire("a")
    first.commit("a", examples.checkpoint(1))
    number = first._locks._held["a"]._number
    other = replace(ELSEWHERE, pid=99)
    second._store.create(f"runs/a/lock/{number + 1}.json", other.dump())
    for n in (2, 3):
        second.commit("a", examples.checkpoint(n))
    done = Result("task", Status.FINISHED, 3, {}, {}, 0.0, 0, 0, {})
    second.finish("a", done)
    monkeypatch.setattr(lease, "_now", lambda: 1e9)
    for write in (
        lambda: first.commit("a", examples.checkpoint(2, seed=7)),
        lambda: first.finish("a", replace(done, status=Status.FAILED, rounds=1)),
        lambda: first.publish(replace(examples.model(), run="a")),
    ):
        with pytest.raises(RepositoryError, match="was taken over by process 99 of edge-7, since"):
            write()
    first.release("a")
    assert [r.number for r in second.history("a")] == [1, 2, 3]
    assert second.result("a")["status"] == "FINISHED"
    assert second.models() == []
    assert not first._spool.holds("a")


def test_a_disk_and_a_bucket_lock(tmp_path):
    assert isinstance(Disk(tmp_path, durable=False), store.Store)
