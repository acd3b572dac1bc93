import json
import logging

import pytest

from aeros_zarr.archive.models.version_index import Listing
from aeros_zarr.format import manifest

MANY = 1300


def content(version):
    return {
        "digest": f"{version:064x}", "parameters": {}, "nbytes": 8 * version, "schema": {},
        "module": {}, "transformers": {}, "fitted": {}, "run": "a", "round": version,
        "metrics": {"loss": 1 / version}, "versions": {}, "parents": [f"{version - 1:064x}"],
        "created": "2026-01-01", "bases": [],
    }  # fmt: skip


def write(path, version, name="model"):
    file = path / "models" / name / f"{version}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(manifest.dump("model", content(version)))


@pytest.fixture
def many(examples, tmp_path):
    store = examples.store(tmp_path)
    for version in range(1, MANY + 1):
        write(tmp_path, version)
    return store


@pytest.fixture
def reads(monkeypatch):
    """How many manifests of versions are read."""
    seen = []
    read = Listing._content
    monkeypatch.setattr(Listing, "_content", lambda s, n, v: seen.append(v) or read(s, n, v))
    return seen


def same(infos, versions):
    assert [info.version for info in infos] == list(versions)
    for info in infos:
        said = content(info.version)
        assert (info.digest, info.nbytes, info.round) == (
            said["digest"], said["nbytes"], info.version,
        )  # fmt: skip
        assert info.metrics == said["metrics"]
        assert info.parents == tuple(said["parents"])


def index(store):
    store._models.index()


def test_a_second_list_reads_no_manifest(many, examples, tmp_path, reads):
    same(many.models("model"), range(1, MANY + 1))
    assert len(reads) == MANY
    assert not (tmp_path / "models/model/index").exists()  # reading writes nothing
    index(many)
    reads.clear()
    found = examples.store(tmp_path).models()
    same(found, range(1, MANY + 1))
    assert (found[0].tags, found[-1].tags) == ((), ("latest",))
    assert len(reads) < 64 + 256


def test_a_page_reads_what_it_shows(many, tmp_path, reads):
    index(many)
    reads.clear()
    (tmp_path / "models/model/index/3.json").unlink()
    infos, total = many.page("model", offset=1000, limit=50)
    same(infos, range(1001, 1051))
    assert total == MANY
    assert set(reads) <= set(range(769, 1051))
    infos, _ = many.page(None, offset=10, limit=3, newest=True)
    same(infos, [MANY - 10, MANY - 11, MANY - 12])
    assert many.page(offset=MANY - 1, limit=9)[0][0].tags == ("latest",)
    assert many.page(offset=MANY, limit=9) == ([], MANY)


def test_pages_go_through_all_models(examples, tmp_path):
    store = examples.store(tmp_path)
    for name in ("a", "b", "c"):
        for version in (1, 2, 3):
            write(tmp_path, version, name)
    pages = [store.page(offset=n, limit=2)[0] for n in range(0, 10, 2)]
    listed = [(info.name, info.version) for page in pages for info in page]
    assert listed == [(i.name, i.version) for i in store.models()]
    newest, total = store.page(limit=4, newest=True)
    assert [(i.name, i.version) for i in newest] == [("a", 3), ("a", 2), ("a", 1), ("b", 3)]
    assert total == 9


def test_what_comes_and_goes_is_seen(many, tmp_path):
    index(many)
    for version in (1, 500, 501):
        (tmp_path / f"models/model/{version}.json").unlink()
    write(tmp_path, MANY + 1)
    there = [v for v in range(1, MANY + 2) if v not in (1, 500, 501)]
    same(many.models(), there)


@pytest.mark.parametrize("damage", [b"", b"{}", b"[" * 9999])
def test_an_index_that_is_damaged_is_made_again(many, tmp_path, damage):
    index(many)
    file = tmp_path / "models/model/index/2.json"
    whole = file.read_bytes()
    file.write_bytes(damage)
    same(many.models(), range(1, MANY + 1))
    assert file.read_bytes() == damage
    index(many)
    assert file.read_bytes() == whole
    assert set(many.verify("model", 600).values()) == {""}


def test_a_damaged_record_is_not_indexed(many, tmp_path, caplog):
    (tmp_path / "models/model/7.json").write_bytes(b"")
    for _ in range(2):
        assert 7 not in [info.version for info in many.models()]
    assert caplog.text.count("models/model/7.json is left out") == 2


def test_publishing_keeps_the_index(examples, tmp_path, reads):
    store = examples.store(tmp_path)
    store._marker.set()
    for version in range(1, 255):
        write(tmp_path, version)
    assert [store.publish(examples.model()).version for _ in range(3)] == [255, 256, 257]
    rows = json.loads((tmp_path / "models/model/index/0.json").read_bytes())["content"]["rows"]
    assert [row[0] for row in rows] == list(range(1, 257))
    reads.clear()
    assert len(store.models()) == 257
    assert reads == [257]


def test_a_folder_that_cannot_be_written_is_listed_too(many, tmp_path, monkeypatch):
    def refuse(self, key, data, **options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(type(many._store), "replace", refuse)
    index(many)
    same(many.models(), range(1, MANY + 1))
    assert not (tmp_path / "models/model/index").exists()


def test_few_versions_have_no_index(examples, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    store = examples.store(tmp_path)
    for seed in range(3):
        store.publish(examples.model(seed=seed))
    assert len(store.models()) == 3
    assert not (tmp_path / "models/model/index").exists()
