"""Reading writes nothing: no file, no time of a file, no request that changes a bucket."""

import os

import pytest
from endpoints import repository

from aeros_core.records import Algorithm
from aeros_core.results import Result, Status

pytestmark = pytest.mark.usefixtures("alone")

READ = {
    "runs": lambda store: store.runs(),
    "latest": lambda store: store.latest("a"),
    "history": lambda store: store.history("a"),
    "result": lambda store: store.result("a"),
    "models": lambda store: store.models(),
    "page": lambda store: store.page("model", offset=0, limit=2, newest=True),
    "model": lambda store: store.model("model"),
    "part": lambda store: store.part("model", tensors=["w"]),
    "algorithms": lambda store: store.algorithms(),
    "algorithm": lambda store: store.algorithm("rule", "1.0"),
    "verify": lambda store: store.verify(),
}


def filled(store, examples, versions=3):
    import hashlib

    store.begin(examples.run())
    for number in (1, 2, 3):
        store.commit("a", examples.checkpoint(number))
    store.finish("a", Result("task", Status.FINISHED, 3, {}, {}, 0.0, 0, 0, {}))
    store.publish(examples.model(seed=300))  # the same blob as that of round 3
    for seed in range(1, versions):
        store.publish(examples.model(seed=seed))
    store.tag("model", "best", 1)
    wheel = b"wheel"
    sha256 = hashlib.sha256(wheel).hexdigest()
    store.store_algorithm(Algorithm("rule", "1.0", sha256, len(wheel), "k", "s"), wheel)
    return store


def snapshot(root):
    found = {}
    for path in (root, *sorted(root.rglob("*"))):
        stat = path.lstat()
        found[path] = (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_mode)
    return found


@pytest.fixture
def folder(examples, tmp_path):
    filled(examples.store(tmp_path / "store"), examples)
    return tmp_path / "store"


@pytest.mark.parametrize("read", READ)
def test_a_folder_is_as_it_was(examples, folder, read):
    before = snapshot(folder)
    READ[read](examples.store(folder))
    assert snapshot(folder) == before


def damage(folder):
    """Damage what there is a copy of, an index and a marker: things that could be healed."""
    [blob] = [p for p in (folder / "blobs").iterdir()
              if (folder / "runs/a/blobs" / p.name).exists()]  # fmt: skip
    (blob / "c.0").write_bytes(b"damaged")
    (folder / "models/model/index").mkdir()
    (folder / "models/model/index/0.json").write_bytes(b"{}")
    (folder / "format.json").write_bytes(b"")


@pytest.mark.parametrize("read", READ)
def test_a_damaged_folder_is_as_it_was(examples, folder, read):
    damage(folder)
    before = snapshot(folder)
    READ[read](examples.store(folder))
    assert snapshot(folder) == before


@pytest.mark.parametrize("read", READ)
@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_may_only_be_read_is_read(examples, folder, read):
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        READ[read](examples.store(folder))
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_a_folder_that_is_not_there_is_not_made(examples, tmp_path):
    store = examples.store(tmp_path / "store")
    assert (list(store.runs()), list(store.models()), list(store.algorithms())) == ([], [], [])
    assert store.verify() == {}
    assert store.collect(0.0) == {}
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("damaged", [False, True])
def test_a_bucket_is_only_asked(examples, faulty, s3, tmp_path, damaged):
    store = filled(repository(s3, tmp_path), examples)
    prefix = store._store._s3.prefix
    if damaged:
        for blob in store._store.folders("blobs"):
            if blob in store._store.folders("runs/a/blobs"):
                store._store.replace(f"blobs/{blob}/c.0", b"damaged")
        store._store.replace("models/model/index/0.json", b"{}")
        store._store.replace("format.json", b"")
    faulty.seen.clear()
    reader = repository(faulty.url, tmp_path / "reader", prefix=prefix)
    for read in READ.values():
        read(reader)
    assert {method for method, _ in faulty.seen} == {"GET", "HEAD"}
