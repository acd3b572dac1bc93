import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from endpoints import repository

from aeros_core.errors import RepositoryError
from aeros_zarr.stores.disk import Disk
from aeros_zarr.stores.s3 import create_once


def test_whether_conditions_are_kept_is_found_out(s3, heedless, tmp_path):
    assert repository(s3, tmp_path)._store.keeps_conditions
    store = repository(heedless, tmp_path)._store
    assert not store.keeps_conditions
    assert store.names("tmp") == []


def test_it_is_asked_once(faulty, tmp_path):
    store = repository(faulty.url, tmp_path)._store
    for n in range(3):
        store.create(f"a/{n}.json", b"1")
    asked = [path for method, path in faulty.seen if method == "PUT" and "probe" in path]
    assert len(asked) == 2


def test_publishers_at_once_get_versions_of_their_own(heedless, tmp_path, examples):
    stores = [repository(heedless, tmp_path) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        infos = list(pool.map(lambda n: stores[n].publish(examples.model(seed=n)), range(6)))
    assert sorted(info.version for info in infos) == [1, 2, 3, 4, 5, 6]
    for n, info in enumerate(infos):
        found = stores[0].model("model", info.version)
        assert found.parameters.digest == examples.parameters(n).digest
    assert stores[0]._store._objects.below("tmp") == {}


@pytest.mark.parametrize("endpoint", ["s3", "heedless"])
def test_of_publishers_who_name_a_version_one_gets_it(request, endpoint, tmp_path, examples):
    url = request.getfixturevalue(endpoint)
    stores = [repository(url, tmp_path) for _ in range(4)]

    def stored(n):
        try:
            return stores[n].publish(examples.model(seed=n), 1).digest
        except RepositoryError as error:
            return error.asked

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(stored, range(4)))
    assert [info.version for info in stores[0].models("model")] == [1]
    told.remove(stores[0].model("model", 1).parameters.digest)
    assert told == ["version 1 of model 'model' is there already, and a version never changes"] * 3


def test_a_run_begins_once(heedless, tmp_path, examples):
    store = repository(heedless, tmp_path)
    for _ in range(2):
        store.begin(examples.run())
    assert [run.id for run in store.runs()] == ["a"]


class Slow(Disk):
    """A disk whose every step takes a random while, so that all orders of steps occur."""

    def __init__(self, root, rng):
        super().__init__(root, durable=False)
        self.rng = rng

    def pause(self):
        time.sleep(self.rng.random() * 2e-3)

    def exists(self, key):
        self.pause()
        return super().exists(key)

    def names(self, key):
        self.pause()
        return super().names(key)

    def replace(self, key, data):
        self.pause()
        super().replace(key, data)

    def remove(self, *keys):
        self.pause()
        super().remove(*keys)


def test_one_of_many_creates_a_file(tmp_path, monkeypatch):
    import random

    monkeypatch.setattr(create_once, "_PAUSE", 2e-3)
    monkeypatch.setattr(create_once, "_LONGEST", 2e-2)
    for n in range(15):
        disk = Slow(tmp_path / str(n), random.Random(n))
        gate = threading.Barrier(5)

        def attempt(i, disk=disk, gate=gate):
            gate.wait()
            return create_once.create(disk, "a/b.json", b"%d" % i)

        with ThreadPoolExecutor(5) as pool:
            won = list(pool.map(attempt, range(5)))
        assert sum(won) == 1
        assert disk.read("a/b.json") == b"%d" % won.index(True)


@pytest.mark.parametrize("killed", ["before the file", "after it"])
def test_a_claim_of_one_that_was_killed_holds_nobody_up(tmp_path, monkeypatch, killed):
    monkeypatch.setattr(create_once, "PATIENCE", 0.1)
    disk = Disk(tmp_path, durable=False)
    disk.replace("tmp/claims/a:1.json/0123.json", b"")
    if killed == "after it":
        disk.replace("a/1.json", b"theirs")
    assert not create_once.create(disk, "a/1.json", b"mine")
    assert disk.exists("a/1.json") == (killed == "after it")
    assert create_once.create(disk, "a/2.json", b"mine")


def test_a_claim_that_is_lost_is_put_again(tmp_path):
    """Some endpoints lose what is put into a folder that another has just emptied."""

    class Losing(Disk):
        lost = 2

        def replace(self, key, data, **options):
            if "claims" in key and self.lost:
                self.lost -= 1
            else:
                super().replace(key, data, **options)

    disk = Losing(tmp_path, durable=False)
    start = time.monotonic()
    assert create_once.create(disk, "a/1.json", b"mine")
    assert time.monotonic() - start < create_once.PATIENCE / 4
    assert disk.names("tmp/claims/a:1.json") == []


def test_a_claim_that_is_listed_after_its_file_is_there_holds_nobody_up(tmp_path):
    """Some endpoints list for a while what was removed."""

    class Haunted(Disk):
        def names(self, key):
            found = super().names(key)
            return sorted([*found, "ghost.json"]) if "claims" in key else found

        def exists(self, key):
            there = super().exists(key)
            if not there and key == "a/1.json":
                super().replace(key, b"theirs")
            return there

    disk = Haunted(tmp_path, durable=False)
    start = time.monotonic()
    assert not create_once.create(disk, "a/1.json", b"mine")
    assert time.monotonic() - start < create_once.PATIENCE / 4
    assert disk.read("a/1.json") == b"theirs"
