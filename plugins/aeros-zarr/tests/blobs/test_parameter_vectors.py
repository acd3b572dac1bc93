from dataclasses import replace

import numpy as np
import pytest
import zarr

from aeros_core.errors import RepositoryError
from aeros_core.parameters import Parameters
from aeros_core.records import Checkpoint
from aeros_zarr import Compression
from aeros_zarr.format import arrays

LAYERS = 100
SIZE = 2_000


def tensors(seed=0, layers=LAYERS, size=SIZE):
    rng = np.random.default_rng(seed)
    found = {f"w{n}": rng.standard_normal(size, dtype=np.float32) for n in range(layers)}
    return found | {"steps": np.arange(3000)}


def changed(values, *names, by=1.0):
    return values | {name: values[name] + np.float32(by) for name in names}


def held(path):
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def commit(repository, examples, number, values):
    round_ = examples.checkpoint(number).round
    repository.commit("a", Checkpoint(round_, Parameters.of(values)))


@pytest.fixture(params=Compression)
def store(request, examples, tmp_path):
    repository = examples.store(tmp_path, compression=request.param)
    repository.begin(examples.run())
    return repository


def same(found, values):
    assert found.digest == Parameters.of(values).digest
    assert {name: a.tobytes() for name, a in found.items()} == {
        name: a.tobytes() for name, a in values.items()
    }


def test_a_round_that_changes_a_layer_writes_that_layer(store, examples, tmp_path):
    values = tensors()
    commit(store, examples, 1, values)
    whole = held(tmp_path)
    for number in range(2, 5):
        values = changed(values, f"w{number}")
        before = held(tmp_path / "runs/a/blobs")
        commit(store, examples, number, values)
        # where the layers lie is said in 150 bytes each, a layer is 8,000
        grown = held(tmp_path / "runs/a/blobs") - before
        assert grown < 4 * SIZE + 150 * LAYERS + 4000 < whole / 20
        same(examples.store(tmp_path).latest("a").parameters, values)
    assert set(examples.store(tmp_path).verify().values()) == {""}


def test_a_version_that_changes_a_layer_writes_that_layer(store, examples, tmp_path):
    """In a process that has not stored the version before, too."""
    values = tensors()
    model = replace(examples.model(), parameters=Parameters.of(values))
    store.publish(model)
    before = held(tmp_path)
    later = changed(values, "w7")
    again = examples.store(tmp_path)
    assert again.publish(replace(model, parameters=Parameters.of(later))).version == 2
    assert held(tmp_path) - before < 4 * SIZE + 150 * LAYERS + 4000
    same(again.model("model", 1).parameters, values)
    same(examples.store(tmp_path).model("model", 2).parameters, later)


def test_nothing_changed_is_nothing_stored(store, examples, tmp_path):
    values = tensors()
    commit(store, examples, 1, values)
    blobs = set((tmp_path / "runs/a/blobs").iterdir())
    commit(store, examples, 2, values)
    assert set((tmp_path / "runs/a/blobs").iterdir()) == blobs
    same(examples.store(tmp_path).latest("a").parameters, values)


def test_what_is_used_by_half_is_stored_anew_and_then_removed(store, examples, tmp_path):
    values = tensors()
    commit(store, examples, 1, values)
    [first] = [p for p in (tmp_path / "runs/a/blobs").iterdir() if held(p) > 100 * SIZE]
    for number in range(2, 12):
        names = [f"w{n}" for n in range((number - 2) * 10, (number - 1) * 10)]
        values = changed(values, *names)
        commit(store, examples, number, values)
        same(examples.store(tmp_path).latest("a").parameters, values)
        assert held(tmp_path / "runs/a/blobs") < 3.5 * LAYERS * SIZE * 4
    assert not first.exists()
    assert set(store.verify().values()) == {""}


def test_another_layout_shares_nothing(store, examples, tmp_path):
    values = tensors()
    commit(store, examples, 1, values)
    other = {f"other.{name}": array for name, array in values.items()}
    commit(store, examples, 2, other)
    same(examples.store(tmp_path).latest("a").parameters, other)


@pytest.mark.parametrize("size", [3_000, 200_000])
def test_chunk_files_of_any_number(store, examples, tmp_path, monkeypatch, size):
    monkeypatch.setattr(arrays, "CHUNK", 40_000)
    values = tensors(layers=5, size=size)
    for number in range(1, 5):
        values = changed(values, "w1", "w3")
        commit(store, examples, number, values)
        same(examples.store(tmp_path).latest("a").parameters, values)
    assert set(store.verify().values()) == {""}


def test_what_is_damaged_is_not_used_again(examples, tmp_path):
    values = tensors()
    model = replace(examples.model(), parameters=Parameters.of(values))
    examples.store(tmp_path).publish(model)
    [file] = [f for f in tmp_path.glob("blobs/*/c.0") if f.stat().st_size > 100 * SIZE]
    data = bytearray(file.read_bytes())
    data[-5000] ^= 1
    file.write_bytes(data)
    again = examples.store(tmp_path)
    later = changed(values, "w7")
    again.publish(replace(model, parameters=Parameters.of(later)))
    same(examples.store(tmp_path).model("model", 2).parameters, later)
    with pytest.raises(RepositoryError, match=r"c\.0 is damaged: its SHA-256"):
        again.model("model", 1)


@pytest.mark.parametrize("damage", [b"", b"{}", None])
def test_a_base_is_stored_again_if_it_was_damaged_since_it_was_written(examples, tmp_path, damage):
    store = examples.store(tmp_path)
    model = replace(examples.model(), parameters=Parameters.of(tensors()))
    store.publish(model)
    for file in tmp_path.glob("blobs/*/zarr.json"):
        file.write_bytes(damage) if damage is not None else file.unlink()
    store.publish(model)
    same(examples.store(tmp_path).model("model", 2).parameters, tensors())
    assert set(store.verify().values()) == {""}


def test_the_blob_that_versions_share_stays_while_one_names_it(examples, tmp_path):
    store = examples.store(tmp_path)
    values = tensors()
    model = replace(examples.model(), parameters=Parameters.of(values))
    store.publish(model)
    later = changed(values, "w7")
    store.publish(replace(model, parameters=Parameters.of(later)))
    assert store.remove("model", [1]) == [1]
    assert store.collect(-10) == {}
    same(examples.store(tmp_path).model("model").parameters, later)


def test_a_base_that_is_collected_meanwhile_is_not_named(examples, tmp_path, monkeypatch):
    """Its version is removed and its blob collected before the new version is named."""
    store = examples.store(tmp_path)
    values = tensors()
    model = replace(examples.model(), parameters=Parameters.of(values))
    for seed in (0, 1):
        store.publish(replace(model, parameters=Parameters.of(changed(values, "w1", by=seed))))
    create = type(store._store).create

    def collected(self, key, data):
        monkeypatch.undo()
        for file in (tmp_path / "models/model").glob("*.json"):
            file.unlink()
        examples.store(tmp_path).collect(-10)
        return create(self, key, data)

    monkeypatch.setattr(type(store._store), "create", collected)
    later = changed(values, "w7")
    version = store.publish(replace(model, parameters=Parameters.of(later))).version
    same(examples.store(tmp_path).model("model", version).parameters, later)
    assert set(store.verify().values()) == {""}


def test_plain_zarr_reads_the_layers_that_are_new(examples, tmp_path):
    store = examples.store(tmp_path)
    values = tensors()
    model = replace(examples.model(), parameters=Parameters.of(values))
    store.publish(model)
    before = set((tmp_path / "blobs").iterdir())
    later = changed(values, "w7")
    store.publish(replace(model, parameters=Parameters.of(later)))
    [new] = set((tmp_path / "blobs").iterdir()) - before
    array = zarr.open_array(new, mode="r")
    assert array[:].tobytes() == later["w7"].tobytes()
    own = [row for row in array.attrs["pieces"] if not row[3]]
    assert [row[0] for row in own] == [4 * SIZE]
