"""Clocks that jump by hours, back and forth: nothing is lost, nothing new is collected."""

import os
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from endpoints import repository

from aeros_core.errors import RepositoryError
from aeros_zarr.stores.disk import Disk
from aeros_zarr.stores.s3.cache import Cache

HOUR = 3600.0


@pytest.fixture(autouse=True)
def _jumping(monkeypatch):
    """The clock of this machine, every time it is asked."""
    rng, now = random.Random(1), time.time
    monkeypatch.setattr(time, "time", lambda: now() + rng.choice([-30, -6, 0, 5, 48]) * HOUR)


@contextmanager
def collecting(store, seed=0):
    """Collect what is older than an hour, again and again, by a clock that jumps."""
    rng, now, stop = random.Random(seed), store._store.now, threading.Event()
    store._store.now = lambda: now() + rng.choice([-6, 0, 5, 5, 20]) * HOUR
    found = []

    def collect():
        while not stop.is_set():
            found.append(store.collect(HOUR))
            time.sleep(1e-3)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(collect)
        try:
            yield found
        finally:
            stop.set()
        done.result()


def orphan(store, examples, seed):
    """What a publisher that was killed leaves behind, and others store again."""
    vector = examples.parameters(seed).vector
    store._marker.set()
    store._blobs.put("blobs", {"": (vector, {})})


def use(store, examples, models, rounds, keep=2):
    """Publish and commit, the same parameters again and again among them."""
    store.begin(examples.run())
    for number in range(1, rounds + 1):
        store.commit("a", examples.checkpoint(number, state={"c": {"n": number}}))
        assert store.latest("a").round.number == number
    for number in range(models):
        orphan(store, examples, number % 3)
        assert store.publish(examples.model(seed=number % 3)).version == number + 1


def check(store, examples, models, rounds):
    assert set(store.verify().values()) == {""}
    assert [info.version for info in store.models()] == list(range(1, models + 1))
    for number in range(models):
        found = store.model("model", number + 1).parameters
        assert found.digest == examples.parameters(number % 3).digest
    assert [done.number for done in store.history("a")] == list(range(1, rounds + 1))
    latest = store.latest("a")
    assert latest.parameters.digest == examples.parameters(100 * rounds).digest


@pytest.mark.parametrize("seed", [1, 2])
def test_in_a_folder_nothing_is_lost(examples, tmp_path, seed):
    with collecting(examples.store(tmp_path), seed) as found:
        use(examples.store(tmp_path), examples, 30, 20)
    assert any(found), "the clock never jumped far enough"
    check(examples.store(tmp_path), examples, 30, 20)


def test_in_a_bucket_nothing_is_lost(s3, examples, tmp_path):
    with collecting(repository(s3, tmp_path)) as found:
        use(repository(s3, tmp_path), examples, 6, 4)
    assert any(found), "the clock never jumped far enough"
    check(repository(s3, tmp_path), examples, 6, 4)


def test_publishers_without_conditional_writes_get_numbers_of_their_own(
    heedless, examples, tmp_path
):
    """Claims know no time."""
    stores = [repository(heedless, tmp_path) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        infos = list(pool.map(lambda n: stores[n].publish(examples.model(seed=n)), range(4)))
    assert sorted(info.version for info in infos) == [1, 2, 3, 4]
    for n, info in enumerate(infos):
        found = stores[0].model("model", info.version)
        assert found.parameters.digest == examples.parameters(n).digest


@pytest.mark.parametrize("moment", ["names", "written", "hide", "named"])
def test_a_writer_at_any_moment_of_a_collection_that_takes_it_for_old(examples, tmp_path, moment):
    """It publishes what is found unnamed, and commits a round: between any two steps."""
    collector, writer = examples.filled(tmp_path), examples.store(tmp_path)
    orphan(writer, examples, 50)
    now, done = collector._store.now, []
    collector._store.now = lambda: now() + 48 * HOUR
    holder = collector._models if moment == "named" else collector._store
    call = getattr(holder, moment)

    def wrapped(*words):
        answer = call(*words)
        if len(done) < 2:
            done.append(writer.publish(examples.model(seed=50)))
            writer.commit("a", examples.checkpoint(3 + len(done)))
        return answer

    setattr(holder, moment, wrapped)
    collector.collect(HOUR)
    assert done
    store = examples.store(tmp_path)
    assert set(store.verify().values()) == {""}
    assert store.model("model").parameters.digest == examples.parameters(50).digest
    assert store.latest("a").round.number == 3 + len(done)


def test_a_damaged_record_brings_everything_back(examples, tmp_path):
    store = examples.store(tmp_path)
    orphan(store, examples, 1)
    named, asked = store._models.named, []

    def fails_the_second_time():
        asked.append(True)
        if len(asked) == 2:
            raise ValueError("damaged meanwhile")
        return named()

    store._models.named = fails_the_second_time
    with pytest.raises(ValueError, match="damaged meanwhile"):
        store.collect(-HOUR)
    assert len(store._store.names("blobs")) == 1
    assert store._store.names("tmp") == []


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_what_a_killed_collection_has_hidden_is_read_and_comes_back(
    request, examples, tmp_path, where
):
    """Somebody has named it in the meantime."""
    made = examples.store if where == "folder" else repository
    first = tmp_path if where == "folder" else request.getfixturevalue("s3")
    words = (first,) if where == "folder" else (first, tmp_path)
    store = made(*words)
    store.publish(examples.model())
    [blob] = store._store.names("blobs")
    assert store._store.hide(f"blobs/{blob}", time.time() + 1000 * HOUR)
    assert store._store.names("blobs") == ([] if where == "folder" else [blob])
    assert store.model("model").parameters.digest == examples.parameters().digest
    store._store.sweep()
    assert store.collect(HOUR) == {}
    assert set(store.verify().values()) == {""}
    assert store._store.names("tmp") == []


def test_what_a_living_process_writes_is_not_swept(tmp_path, monkeypatch):
    disk, other = Disk(tmp_path, durable=False), Disk(tmp_path, durable=False)
    now = other.now
    monkeypatch.setattr(other, "now", lambda: now() + 50 * 365 * 24 * HOUR)  # from 1970 to now
    with disk.staging(1) as [stage]:
        disk.write(stage / "zarr.json", b"{}")
        other.sweep()
        disk.adopt({"blobs/a": stage})
    assert disk.read("blobs/a/zarr.json") == b"{}"


KILLED = """
import os, signal, sys
from pathlib import Path
from aeros_zarr.stores.disk import Disk
with Disk(Path(sys.argv[1]), durable=False).staging(1) as [stage]:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_swept_a_day_later(tmp_path, monkeypatch):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=300)
    disk = Disk(tmp_path, durable=False)
    assert len(disk.names("tmp")) == 1
    disk.sweep()
    assert len(disk.names("tmp")) == 1
    now = disk.now
    monkeypatch.setattr(disk, "now", lambda: now() + 25 * HOUR)
    disk.sweep()
    assert disk.names("tmp") == []


def test_a_cache_holds_what_its_bound_allows(tmp_path):
    cache = Cache(tmp_path, 1000)
    for n in range(40):
        cache.add(f"{n:064x}", "c.0", bytes([n]) * 100)
        with cache.open(f"{n:064x}", "c.0") as file:
            assert file.read() == bytes([n]) * 100
        for path in tmp_path.rglob("*.c.0"):  # it was written by another clock
            then = path.stat().st_mtime + random.Random(n).choice([-6, 6]) * HOUR
            os.utime(path, (then, then))
    held = sum(path.stat().st_size for path in tmp_path.rglob("*.c.0"))
    assert 500 <= held <= 1000


def test_a_machine_whose_clock_the_endpoint_does_not_believe(faulty, tmp_path):
    body = b"<Error><Code>RequestTimeTooSkewed</Code><Message>too large</Message></Error>"
    faulty.fault = lambda method, path: (403, body)
    with pytest.raises(RepositoryError) as caught:
        repository(faulty.url, tmp_path)
    assert "the clock of this machine is too far from the endpoint's" in str(caught.value)
    assert "next: set the clock" in str(caught.value)
