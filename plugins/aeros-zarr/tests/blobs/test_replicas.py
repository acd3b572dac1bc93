"""What is damaged is read from another copy where there is one, and healed."""

import shutil

import pytest
from endpoints import repository

from aeros_core.errors import RepositoryError

pytestmark = pytest.mark.usefixtures("alone")


def flip(path, place=-1):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.fixture
def trained(examples, tmp_path):
    """A run, whose last parameters are published: two copies of the same blob."""
    store = examples.filled(tmp_path / "store")
    store.publish(store.latest("a") and examples.model(seed=300))
    return store


@pytest.mark.parametrize("name", ["c.0", "zarr.json"])
@pytest.mark.parametrize("how", [flip, lambda path: path.write_bytes(b"")])
def test_a_damaged_file_is_healed_from_the_same_blob_elsewhere(
    trained, examples, tmp_path, caplog, name, how
):
    [blob] = (tmp_path / "store/blobs").iterdir()
    whole = (blob / name).read_bytes()
    how(blob / name)
    damaged = (blob / name).read_bytes()
    store = examples.store(tmp_path / "store")
    assert store.model("model").parameters.digest == examples.parameters(300).digest
    assert (blob / name).read_bytes() == damaged  # reading writes nothing
    assert f"blobs/{blob.name}/{name} is damaged and was read from " in caplog.text
    assert f"runs/a/blobs/{blob.name}/{name}; aeros models verify --heal" in caplog.text
    assert len(store.heal(None, None, [])) == 1
    assert (blob / name).read_bytes() == whole


def test_a_missing_chunk_is_healed_too(trained, examples, tmp_path):
    [blob] = (tmp_path / "store/blobs").iterdir()
    [in_run] = [p for p in (tmp_path / "store/runs/a/blobs").iterdir() if p.name == blob.name]
    (in_run / "c.0").unlink()
    latest = examples.store(tmp_path / "store").latest("a")
    assert latest.round.number == 3
    assert not (in_run / "c.0").exists()
    trained.heal(None, None, [])
    assert set(trained.verify().values()) == {""}


def test_what_is_damaged_in_both_places_is_named(trained, examples, tmp_path):
    for file in (tmp_path / "store").rglob("c.0"):
        flip(file)
    with pytest.raises(RepositoryError, match=r"c\.0 is damaged: its SHA-256 is not"):
        examples.store(tmp_path / "store").model("model")


def test_a_copy_on_a_store_that_cannot_be_written_is_read(trained, examples, tmp_path, monkeypatch):
    [blob] = (tmp_path / "store/blobs").iterdir()
    flip(blob / "c.0")
    damaged = (blob / "c.0").read_bytes()

    def refuse(self, key, data):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(type(trained._store), "replace", refuse)
    assert trained.model("model").parameters.digest == examples.parameters(300).digest
    assert (blob / "c.0").read_bytes() == damaged


def test_everything_is_healed_from_a_copy_of_the_repository(examples, tmp_path):
    store = examples.filled(tmp_path / "store")
    store.publish(examples.model(seed=1))
    store.tag("model", "best", 1)
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    copy = examples.store(tmp_path / "copy")
    files = [p for p in (tmp_path / "store").rglob("*") if p.is_file()]
    before = {file: file.read_bytes() for file in files}
    kept = set(store.verify())
    for file in files:
        flip(file, len(before[file]) // 2)
    marker = str(tmp_path / "store/format.json")
    assert store.heal(None, None, []) == {marker: "the marker of this version"}
    healed = store.heal(None, None, [copy])
    assert {file: file.read_bytes() for file in files} == before
    assert set(healed) <= kept
    assert all(place.startswith(str(tmp_path / "copy")) for place in healed.values())
    assert set(store.verify().values()) == {""}
    assert store.heal(None, None, [copy]) == {}


def test_a_blob_that_is_gone_is_brought_back(examples, tmp_path):
    store = examples.store(tmp_path / "store")
    store.publish(examples.model())
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    shutil.rmtree(tmp_path / "store/blobs")
    healed = store.heal("model", "latest", [examples.store(tmp_path / "copy")])
    assert len(healed) == 2
    assert store.model("model").parameters.digest == examples.model().parameters.digest


def test_a_copy_that_is_damaged_itself_heals_nothing(examples, tmp_path):
    store = examples.store(tmp_path / "store")
    store.publish(examples.model())
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    for folder in ("store", "copy"):
        for file in (tmp_path / folder).rglob("c.0"):
            flip(file)
        for file in (tmp_path / folder / "models").rglob("1.json"):
            flip(file, -9)
    assert store.heal(None, None, [examples.store(tmp_path / "copy")]) == {}


def test_another_kind_of_repository_is_refused(examples, tmp_path):
    with pytest.raises(RepositoryError) as caught:
        examples.store(tmp_path).heal(None, None, [object()])
    assert str(caught.value) == (
        "files cannot be repaired from a object\n  exists: repository=zarr, repository=s3"
    )


def test_a_bucket_is_healed_from_the_cache(s3, tmp_path, examples, caplog):
    store = repository(s3, tmp_path, cache=str(tmp_path / "cache"))
    store.publish(examples.model())
    store.model("model")
    [blob] = store._store.names("blobs")
    store._store.replace(f"blobs/{blob}/c.0", bytes(2800))
    healed = store.heal(None, None, [])
    assert list(healed) == [store._store.location(f"blobs/{blob}/c.0")]
    assert set(store.verify().values()) == {""}
    assert repository(s3, tmp_path).model("model").parameters.digest


def test_a_bucket_is_healed_from_a_folder(s3, tmp_path, examples):
    folder, store = examples.store(tmp_path / "copy"), repository(s3, tmp_path)
    for each in (folder, store):
        each.publish(examples.model())
    [blob] = store._store.names("blobs")
    store._store.remove(f"blobs/{blob}")
    assert len(store.heal("model", 1, [folder])) == 2
    assert set(store.verify().values()) == {""}
