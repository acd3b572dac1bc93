"""gc, verify and lists beside each other, and beside runs: nobody fails, nobody finds damage."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from endpoints import repository

from aeros_core.errors import RepositoryError


@pytest.fixture(params=["disk", "s3"])
def opened(request, tmp_path, examples):
    url = request.getfixturevalue("s3") if request.param == "s3" else ""

    def made():
        return repository(url, tmp_path) if url else examples.store(tmp_path)

    return (made, 12, 5.0) if request.param == "disk" else (made, 3, 60.0)


def train(store, examples, run, rounds):
    """A run that publishes, removes old versions, and does a round again now and then."""
    store.begin(examples.run(run))
    store.acquire(run)
    for number in range(1, rounds + 1):
        store.commit(run, examples.checkpoint(number, seed=number))
        store.commit(run, examples.checkpoint(max(1, number - 1), seed=-number))
        store.commit(run, examples.checkpoint(max(1, number - 1) + 1, seed=number))
        info = store.publish(examples.model(seed=number % 4))
        store.tag("model", f"of-{run}", info.version)
        store.remove("model", range(1, info.version - 2))
    store.release(run)


def test_nobody_fails_and_nobody_finds_damage(opened, examples, caplog):
    made, rounds, old = opened
    caplog.set_level(logging.WARNING)
    stop = threading.Event()

    def again(work):
        store, count = made(), 0
        while not stop.is_set() or count < 2:
            work(store)
            count += 1

    def verify(store):
        assert not any(store.verify().values())

    def listed(store):
        store.models(), store.runs(), store.page(limit=5)
        for run in store.runs():
            store.result(run.id)

    def collect(store):
        now = store._store.now
        store._store.now = lambda: now() + 3600  # what was written a while ago is old
        store.collect(3600.0 + old)
        store._store.now = now

    with ThreadPoolExecutor(8) as pool:
        others = [pool.submit(again, work) for work in (verify, verify, listed, collect, collect)]
        runs = [pool.submit(train, made(), examples, run, rounds) for run in ("a", "b")]
        try:
            for run in runs:
                run.result(timeout=500)
        finally:
            stop.set()
        for other in others:
            other.result(timeout=300)
    assert not any(made().verify().values())
    assert made().latest("a").round.number == rounds


def test_real_damage_is_found_all_the_same(tmp_path, examples):
    store = examples.filled(tmp_path)
    (tmp_path / "runs/a/rounds/3.json").write_bytes(b"")
    assert [f for f, what in store.verify().items() if what] == [
        str(tmp_path / "runs/a/rounds/3.json")
    ]
    with pytest.raises(RepositoryError):
        store.collect(0.0)


def test_a_blob_that_goes_between_two_looks_is_no_end_of_verify(tmp_path, examples, monkeypatch):
    store = examples.store(tmp_path)
    store.begin(examples.run("a"))
    for number in (1, 2):
        store.commit("a", examples.checkpoint(number, seed=number))
    blobs, run = store._blobs, tmp_path / "runs" / "a"
    wrong, gone = blobs._files.wrong, []

    def vanishing(key, digest):
        found = wrong(key, digest)
        if key.startswith("runs/a/blobs/") and key.endswith("zarr.json") and not gone:
            gone.append(tmp_path / key)
            gone[0].unlink()
        return found

    monkeypatch.setattr(blobs._files, "wrong", vanishing)
    found = store.verify()
    assert not gone[0].exists()
    assert [file for file, what in found.items() if what] == [str(gone[0])]
    assert run.is_dir()
