"""What `aeros models verify` and `gc` rely on, in a folder."""

import os
import threading
import time

import numpy as np
import pytest

from aeros_core.errors import RepositoryError
from aeros_zarr import Compression
from aeros_zarr.blobs import parameter_vectors
from aeros_zarr.format.manifest import dump

DAY = 24 * 3600.0


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def age(path, seconds=2 * DAY):
    then = time.time() - seconds
    os.utime(path, (then, then))


def filled(examples, path):
    repository = examples.filled(path)
    repository.publish(examples.model())
    repository.tag("model", "best", 1)
    return repository


def orphan(examples, repository, seed=50, *, seconds=2 * DAY):
    """What a publisher that was killed leaves behind."""
    repository._marker.set()
    vector = examples.parameters(seed).vector
    [digest] = repository._blobs.put("blobs", {"a": (vector, {})}).values()
    age(repository.path / "blobs" / digest, seconds)
    return digest


# ---------------------------------------------------------------- verify


def test_every_file_is_read(examples, tmp_path):
    assert examples.store(tmp_path).verify() == {}
    repository = filled(examples, tmp_path)
    files = {str(p) for p in tmp_path.rglob("*") if p.is_file()}
    assert repository.verify() == dict.fromkeys(files, "")


def test_a_file_that_is_missing_is_named(examples, tmp_path):
    repository = filled(examples, tmp_path)
    for path in [*tmp_path.glob("blobs/*/*"), *tmp_path.glob("runs/*/blobs/*/*")]:
        before = path.read_bytes()
        path.unlink()
        assert repository.verify()[str(path)] == "it is missing"
        path.write_bytes(before)


def test_a_record_of_a_newer_format_is_told(examples, tmp_path):
    repository = filled(examples, tmp_path)
    record = tmp_path / "models/model/1.json"
    record.write_bytes(dump("model", {}).replace(b'"format":2', b'"format":3'))
    found = repository.verify("model")
    assert found[str(record)] == f"{record} was written in format 3 by a newer aeros-zarr"


def test_one_version_is_verified_without_the_others(examples, tmp_path):
    repository = examples.store(tmp_path)
    for seed in (1, 2):
        repository.publish(examples.model(seed=seed))
    flip(tmp_path / "models/model/2.json")
    assert set(repository.verify("model", 1).values()) == {""}
    assert any(repository.verify("model", "latest").values())
    assert any(repository.verify("model").values())


# ---------------------------------------------------------------- unverified


@pytest.fixture
def trusting(examples, tmp_path):
    """A repository that does not hash the parameters of models, with one flipped bit in them."""
    store = examples.store(tmp_path, verify=False)
    store.publish(examples.model())
    [chunk] = tmp_path.glob("blobs/*/c.0")
    flip(chunk)
    return examples.store(tmp_path, verify=False), chunk


def test_unverified_a_flipped_bit_is_not_found_and_nothing_else_changes(examples, trusting):
    store, chunk = trusting
    found, expected = store.model("model").parameters, examples.parameters()
    assert found.layout == expected.layout
    changed = np.flatnonzero(
        found.vector.view(np.uint8).copy() != expected.vector.view(np.uint8)
    ).tolist()
    assert changed == [expected.nbytes // 2]
    assert [file for file, what in store.verify().items() if what] == [str(chunk)]


def test_unverified_a_layer_is_verified_before_another_version_names_it(examples, trusting):
    store, _ = trusting
    store.model("model")
    store.publish(examples.model())
    assert store.model("model", 2).parameters.digest == examples.parameters().digest
    assert set(store.verify().values()) == {""}


def test_unverified_a_file_of_another_length_is_named(examples, trusting):
    store, chunk = trusting
    whole = chunk.read_bytes()
    for data in (whole[:-1], whole + b"x", b""):
        chunk.write_bytes(data)
        with pytest.raises(RepositoryError, match=r"c\.0 is damaged"):
            store.model("model")
    chunk.unlink()
    with pytest.raises(RepositoryError, match=r"c\.0 is damaged: it is missing"):
        store.model("model")


def test_unverified_a_head_of_a_blob_is_verified(examples, trusting):
    store, chunk = trusting
    flip(chunk.parent / "zarr.json")
    with pytest.raises(RepositoryError, match=r"zarr\.json is damaged"):
        store.model("model")


def test_unverified_compressed_arrays_are_verified(examples, tmp_path):
    store = examples.store(tmp_path, verify=False, compression=Compression.zstd)
    store.publish(examples.model())
    [chunk] = tmp_path.glob("blobs/*/c.0")
    flip(chunk)
    with pytest.raises(RepositoryError, match=r"c\.0 is damaged"):
        store.model("model")


def test_unverified_rounds_are_verified(examples, tmp_path):
    store = examples.filled(tmp_path, verify=False)
    newest = max(tmp_path.glob("runs/a/blobs/*/c.0"), key=lambda path: path.stat().st_mtime_ns)
    flip(newest)
    assert store.latest("a").round.number == 2


# ---------------------------------------------------------------- gc


def test_what_nothing_names_is_removed(examples, tmp_path):
    repository = filled(examples, tmp_path)
    digest = orphan(examples, repository)
    for folder in (tmp_path / "blobs").iterdir():
        age(folder)
    nbytes = sum(file.stat().st_size for file in (tmp_path / "blobs" / digest).iterdir())
    assert repository.collect(DAY) == {str(tmp_path / "blobs" / digest): nbytes}
    assert set(repository.verify().values()) == {""}
    assert repository.collect(DAY) == {}
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_nothing_names_in_a_run_is_removed(examples, tmp_path):
    repository = examples.filled(tmp_path)
    stored = {"a": (np.arange(9.0), {})}
    [digest] = repository._blobs.put("runs/a/blobs", stored).values()
    age(tmp_path / "runs/a/blobs" / digest)
    assert list(repository.collect(DAY)) == [str(tmp_path / "runs/a/blobs" / digest)]
    assert examples.store(tmp_path).latest("a").round.number == 3


def test_what_is_young_stays(examples, tmp_path):
    repository = examples.store(tmp_path)
    digest = orphan(examples, repository, seconds=DAY / 2)
    assert repository.collect(DAY) == {}
    assert (tmp_path / "blobs" / digest).is_dir()


def test_what_is_published_again_is_young_again(examples, tmp_path):
    """A publisher has stored its arrays, and not yet said so."""
    repository = examples.store(tmp_path)
    repository.publish(examples.model(seed=50))
    (tmp_path / "models/model/1.json").unlink()
    [blob] = (tmp_path / "blobs").iterdir()
    age(blob)
    parameters = examples.parameters(50)
    stored, _ = parameter_vectors.put(repository._blobs, "blobs", parameters, {}, {})
    assert stored == {"float32": blob.name}
    assert repository.collect(DAY) == {}


@pytest.mark.parametrize("moment", ["named", "written", "unique"])
def test_a_publisher_at_any_moment_of_the_collection_loses_nothing(
    examples, tmp_path, monkeypatch, moment
):
    """It publishes what the collection has just found old and named by nobody."""
    repository = examples.store(tmp_path)
    repository.publish(examples.model(seed=50))
    (tmp_path / "models/model/1.json").unlink()
    [blob] = (tmp_path / "blobs").iterdir()
    age(blob)
    published = []

    def meanwhile(holder, name):
        call = getattr(holder, name)

        def wrapped(*words):
            answer = call(*words)
            if not published:
                published.append(True)
                examples.store(tmp_path).publish(examples.model(seed=50))
            return answer

        monkeypatch.setattr(holder, name, wrapped)

    disk = repository._store
    meanwhile(*{
        "named": (repository._models, "named"),
        "written": (disk, "written"),
        "unique": (disk, "_unique"),
    }[moment])  # fmt: skip
    repository.collect(DAY)
    assert published
    found = examples.store(tmp_path).model("model")
    assert found.parameters.digest == examples.parameters(50).digest


def test_collecting_while_others_publish_loses_nothing(examples, tmp_path):
    repository = examples.store(tmp_path)
    stop = threading.Event()

    def collect():
        collector = examples.store(tmp_path)
        while not stop.is_set():
            collector.collect(0.2)

    collecting = threading.Thread(target=collect)
    collecting.start()
    try:
        for n in range(30):
            repository.publish(examples.model(f"m{n}", seed=n % 3))
            orphan(examples, repository, seed=100 + n)
    finally:
        stop.set()
        collecting.join()
    assert set(repository.verify().values()) == {""}
    assert len(repository.models()) == 30


def test_nothing_is_removed_while_a_record_is_damaged(examples, tmp_path):
    repository = filled(examples, tmp_path)
    digest = orphan(examples, repository)
    flip(tmp_path / "models/model/1.json")
    with pytest.raises(RepositoryError, match=r"1\.json is damaged"):
        repository.collect(DAY)
    assert (tmp_path / "blobs" / digest).is_dir()


def test_the_clock_of_the_disk_counts(examples, tmp_path, monkeypatch):
    """A machine whose clock is a week ahead removes nothing that is being published."""
    repository = examples.store(tmp_path)
    orphan(examples, repository, seconds=0)
    monkeypatch.setattr(time, "time", lambda: 7 * DAY + time.monotonic() + 2e9)
    assert repository.collect(DAY) == {}
