import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.parameters import Parameters
from aeros_zarr import Compression
from aeros_zarr.archive import records


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_plain_zarr_reads_a_model(examples, tmp_path):
    examples.store(tmp_path).publish(examples.model())
    [folder] = (tmp_path / "blobs").iterdir()
    array = zarr.open_array(folder, mode="r")
    parameters = examples.model().parameters
    assert array[:].tobytes() == parameters.vector.tobytes()
    assert array.attrs["layout"] == parameters.layout.to_json()


def test_versions_of_the_same_parameters_share_them(examples, tmp_path):
    repository = examples.store(tmp_path)
    for name in ("one", "two", "two"):
        repository.publish(examples.model(name))
    assert len(list((tmp_path / "blobs").iterdir())) == 1


def test_a_tag_points_to_one_version_and_can_move(examples, tmp_path):
    repository = examples.store(tmp_path)
    for seed in (1, 2, 3):
        repository.publish(examples.model(seed=seed))
    repository.tag("model", "production", 1)
    repository.tag("model", "best", "latest")
    assert [info.tags for info in repository.models()] == [
        ("production",), (), ("latest", "best"),
    ]  # fmt: skip
    repository.tag("model", "production", "2")
    found = examples.store(tmp_path).model("model", "production")
    assert found.parameters.digest == examples.model(seed=2).parameters.digest
    repository.publish(examples.model(seed=4))
    assert [info.tags for info in repository.models()][2:] == [("best",), ("latest",)]


@pytest.mark.parametrize(
    ("name", "version", "text"),
    [
        ("nobody", "latest", "model 'nobody' does not exist\n  exists: models model, other"),
        ("nobody", 3, "model 'nobody' does not exist\n  exists: models model, other"),
        (
            "model", 7,
            "version 7 of model 'model' does not exist\n"
            "  exists: versions 1, 2; tags best, latest",
        ),
        (
            "model", "production",
            "tag 'production' of model 'model' does not exist\n"
            "  exists: versions 1, 2; tags best, latest",
        ),
    ],
)  # fmt: skip
def test_what_does_not_exist(examples, tmp_path, name, version, text):
    repository = examples.store(tmp_path)
    for given in ("model", "model", "other"):
        repository.publish(examples.model(given))
    repository.tag("model", "best", 1)
    with pytest.raises(RepositoryError) as caught:
        repository.model(name, version)
    assert str(caught.value) == text
    with pytest.raises(RepositoryError) as caught:
        repository.tag(name, "new", version)
    assert str(caught.value) == text


def test_a_number_without_end_is_no_version(examples, tmp_path):
    repository = examples.store(tmp_path)
    repository.publish(examples.model())
    for call in (repository.model, repository.verify):
        with pytest.raises(RepositoryError) as caught:
            call("model", "9" * 5000)
        assert str(caught.value) == (
            f"version {'9' * 18}… of model 'model' does not exist\n  exists: version 1; tag latest"
        )


def test_no_model_at_all(examples, tmp_path):
    with pytest.raises(RepositoryError) as caught:
        examples.store(tmp_path).model("model")
    assert str(caught.value) == (
        "model 'model' does not exist\n  exists: no model at all\n  next: aeros run trains one"
    )


@pytest.mark.parametrize("tag", ["latest", "7"])
def test_a_tag_that_means_something_already(examples, tmp_path, tag):
    repository = examples.store(tmp_path)
    repository.publish(examples.model())
    with pytest.raises(RepositoryError) as caught:
        repository.tag("model", tag, 1)
    assert str(caught.value) == (
        f"'{tag}' cannot be given as a tag\n"
        "  exists: latest is always the highest version, a number always a version\n"
        "  next: for instance production"
    )


@pytest.mark.parametrize("tag", ["../up", "a b", "-1", ""])
def test_a_tag_that_cannot_be_a_name(examples, tmp_path, tag):
    repository = examples.store(tmp_path)
    repository.publish(examples.model())
    for call in (lambda: repository.tag("model", tag), lambda: repository.model("model", tag)):
        with pytest.raises(ConfigError, match="is not a valid name of a tag"):
            call()


def test_a_damaged_blob_names_the_version_and_the_file(examples, tmp_path):
    repository = examples.store(tmp_path)
    for seed in (1, 2):
        repository.publish(examples.model(seed=seed))
    bytes_ = examples.model(seed=1).parameters.vector.tobytes()
    [file] = [f for f in (tmp_path / "blobs").glob("*/c.0") if f.read_bytes() == bytes_]
    flip(file)
    with pytest.raises(RepositoryError) as caught:
        repository.model("model", 1)
    assert str(caught.value) == (
        f"version 1 of model 'model' cannot be read: {file} is damaged: its SHA-256 is not"
        " the one it was stored with\n"
        "  exists: versions 1, 2; tag latest\n"
        "  next: aeros models verify --heal, or --heal-from COPY, a copy of the repository"
    )
    assert repository.model("model", 2).parameters.digest


def test_a_damaged_record_is_left_out_of_the_list_and_said(examples, tmp_path, caplog):
    repository = examples.store(tmp_path)
    for seed in (1, 2):
        repository.publish(examples.model(seed=seed))
    repository.tag("model", "best", 2)
    flip(tmp_path / "models/model/1.json")
    flip(tmp_path / "models/model/tags/best.json")
    assert [(info.version, info.tags) for info in repository.models()] == [(2, ("latest",))]
    assert "models/model/1.json is left out" in caplog.text
    assert "models/model/tags/best.json is left out" in caplog.text
    with pytest.raises(RepositoryError, match=r"1\.json is damaged"):
        repository.model("model", 1)


def test_a_damaged_version_keeps_its_number(examples, tmp_path):
    repository = examples.store(tmp_path)
    repository.publish(examples.model())
    flip(tmp_path / "models/model/1.json")
    assert repository.publish(examples.model()).version == 2


PUBLISHER = """
import sys
from pathlib import Path
from conftest import Examples
sys.stdin.read()
for _ in range(5):
    Examples.store(Path(sys.argv[1])).publish(Examples.model(seed=int(sys.argv[2])))
"""


def test_processes_that_publish_at_once(examples, tmp_path):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, str(tmp_path), str(seed)],
            stdin=subprocess.PIPE, cwd=Path(__file__).parents[2],
        )
        for seed in range(4)
    ]  # fmt: skip
    for writer in writers:
        writer.stdin.close()
    assert [writer.wait(300) for writer in writers] == [0] * 4
    repository = examples.store(tmp_path)
    assert [info.version for info in repository.models()] == list(range(1, 21))
    digests = sorted(repository.model("model", n).parameters.digest for n in range(1, 21))
    expected = [examples.model(seed=seed).parameters.digest for seed in range(4)]
    assert digests == sorted(expected * 5)


PIECE = 16 * 2**20 // 4


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize(
    "sizes", [(0,), (5,), (PIECE,), (PIECE + 1,), (2 * PIECE, 7), (2 * PIECE - 9,)]
)
def test_the_digest_is_that_of_the_parameters(examples, tmp_path, sizes, compression):
    """Whether it was put together from the digests of chunks or not."""
    arrays = {f"w{n}": np.arange(n, dtype=("<f4", "<i2")[i]) for i, n in enumerate(sizes)}
    model = replace(examples.model(), parameters=Parameters.of(arrays))
    info = examples.store(tmp_path, compression=compression).publish(model)
    assert info.digest == model.parameters.digest
    found = examples.store(tmp_path).model("model")
    assert found.parameters.digest == info.digest


def test_a_large_array_is_cut_where_it_is_hashed(examples, tmp_path, monkeypatch):
    hashed = []
    monkeypatch.setattr(records.hashlib, "sha256", counting(hashed, records.hashlib.sha256))
    model = replace(examples.model(), parameters=examples.parameters(size=4 * PIECE - 5))
    examples.store(tmp_path).publish(model)
    [blob] = (tmp_path / "blobs").iterdir()
    assert [(blob / f"c.{n}").stat().st_size for n in range(4)] == [4 * PIECE] * 4
    assert zarr.open_array(blob, mode="r")[:].tobytes() == model.parameters.vector.tobytes()
    assert sum(hashed) < 5.1 * 4 * PIECE  # the last piece twice, for its padding


def counting(hashed, sha256):
    class Counted:
        def __init__(self, data=b""):
            self.sha = sha256()
            self.update(data)

        def update(self, data):
            hashed.append(len(data))
            self.sha.update(data)

        def digest(self):
            return self.sha.digest()

        def hexdigest(self):
            return self.sha.hexdigest()

    return Counted


def test_versions_are_removed_but_not_the_newest_and_not_what_is_tagged(examples, tmp_path):
    store = examples.store(tmp_path)
    for seed in range(5):
        store.publish(examples.model(seed=seed))
    store.tag("model", "production", 2)
    assert store.remove("model", [1, 2, 3, 5, 9]) == [1, 3]
    assert [info.version for info in store.models("model")] == [2, 4, 5]
    assert len(store.collect(-10)) == 2
    assert set(store.verify().values()) == {""}
    for version, seed in ((2, 1), ("production", 1), (4, 3), ("latest", 4)):
        found = store.model("model", version).parameters
        assert found.digest == examples.parameters(seed).digest
    with pytest.raises(RepositoryError, match="version 1 of model 'model' does not exist"):
        store.model("model", 1)
    assert store.publish(examples.model(seed=9)).version == 6
    assert store.remove("nobody", [1]) == []


def test_what_versions_share_stays_while_one_names_it(examples, tmp_path):
    store = examples.store(tmp_path)
    for seed in (1, 1, 2):
        store.publish(examples.model(seed=seed))
    assert store.remove("model", [1]) == [1]
    assert store.collect(-10) == {}
    assert store.model("model", 2).parameters.digest == examples.parameters(1).digest


def test_a_version_that_is_tagged_meanwhile_comes_back(examples, tmp_path, monkeypatch):
    store = examples.store(tmp_path)
    for seed in range(2):
        store.publish(examples.model(seed=seed))
    remove = type(store._store).remove

    def tagged(self, *keys):
        examples.store(tmp_path).tag("model", "production", 1)
        remove(self, *keys)

    with monkeypatch.context() as patch:
        patch.setattr(type(store._store), "remove", tagged)
        assert store.remove("model", [1]) == []
    assert store.model("model", "production").parameters.digest == examples.parameters(0).digest


def test_a_damaged_tag_lets_nothing_be_removed(examples, tmp_path):
    store = examples.store(tmp_path)
    for seed in range(2):
        store.publish(examples.model(seed=seed))
    store.tag("model", "production", 1)
    (tmp_path / "models/model/tags/production.json").write_text("{}")
    with pytest.raises(RepositoryError, match="is damaged"):
        store.remove("model", [1])
    assert store.model("model", 1)


def test_removing_spares_what_a_run_needs(examples, tmp_path):
    store = examples.filled(tmp_path)
    for seed in range(2):
        store.publish(examples.model(seed=seed))
    store.remove("model", [1])
    store.collect(-10)
    assert store.latest("a").parameters.digest == examples.checkpoint(3).parameters.digest
