"""Stores that earlier versions have made are read, and are current after the next write."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from aeros_core.errors import RepositoryError
from aeros_core.parameters import Parameters
from aeros_zarr.format import manifest
from aeros_zarr.local import ZarrRepository

SAMPLES = Path(__file__).parent / "samples"


def parameters(seed):
    """What the samples were made from."""
    rng = np.random.default_rng(seed)
    return Parameters.of(
        {
            "w": rng.standard_normal((10, 20), dtype=np.float32),
            "b": rng.standard_normal(10, dtype=np.float32),
            "n": np.arange(seed, seed + 3),
        }
    )


@pytest.fixture(params=range(1, manifest.FORMAT + 1))
def sample(request, tmp_path):
    """A copy of the store of a format; which, and where."""
    path = tmp_path / "store"
    shutil.copytree(SAMPLES / f"format-{request.param}", path)
    return request.param, path


def formats(path):
    return {json.loads(file.read_bytes())["format"] for file in path.rglob("*.json")
            if file.name != "zarr.json"}  # fmt: skip


def test_the_sample_is_what_it_says(sample):
    number, path = sample
    assert formats(path) == {number}


def test_every_byte_of_an_earlier_store_is_read(examples, sample):
    _, path = sample
    store: ZarrRepository = examples.store(path)
    assert set(store.verify().values()) == {""}
    assert [run.id for run in store.runs()] == ["run-none", "run-zstd"]
    for run in ("run-none", "run-zstd"):
        latest = store.latest(run)
        assert latest.parameters.digest == parameters(3).digest
        assert latest.state["collector"]["m"].tolist() == [3.0] * 5
        assert latest.state["collector"]["t"] == 3
        assert [r.metrics["loss"] for r in store.history(run)] == [1, 1 / 2, 1 / 3]
        assert store.result(run)["status"] == "FINISHED"
    first, second = store.models("model")
    assert (first.digest, first.tags) == (parameters(3).digest, ("production",))
    assert (second.digest, second.tags) == (parameters(4).digest, ("latest",))
    model = store.model("model", "production")
    assert model.parameters.digest == parameters(3).digest
    assert model.fitted["scale"]["mean"].tolist() == [0, 1, 2, 3]
    assert np.isnan(model.metrics["loss"])


def test_layers_that_versions_share_are_read(examples, sample):
    number, path = sample
    if number < 2:
        pytest.skip("format 1 shares no layers")
    store = examples.store(path)
    for version in (1, 2):
        found = store.model("layers", version).parameters
        assert found["frozen"].tolist() == list(range(1500))
        assert found["w"].tolist() == [float(version)] * 1400


def test_an_earlier_store_becomes_a_current_one(examples, sample):
    """By the next write; what is there stays as it is, and is used on."""
    _, path = sample
    store = examples.store(path)
    store.begin(examples.run("new"))
    store.commit("new", examples.checkpoint(1))
    store.commit("run-none", examples.checkpoint(4))
    assert store.publish(examples.model()).version == 3
    store.tag("model", "production", 2)
    assert json.loads((path / "format.json").read_bytes())["format"] == manifest.FORMAT
    again = examples.store(path)
    assert set(again.verify().values()) == {""}
    assert again.latest("run-none").round.number == 4
    assert again.latest("run-zstd").parameters.digest == parameters(3).digest
    assert again.model("model", 1).parameters.digest == parameters(3).digest
    assert again.model("model", "production").parameters.digest == parameters(4).digest
    assert again.collect(-10) == {}


def test_a_store_of_a_newer_version_says_so_and_is_left_alone(examples, tmp_path):
    examples.filled(tmp_path)
    for file in [file for file in tmp_path.rglob("*.json") if file.name != "zarr.json"]:
        newer = file.read_bytes().replace(b'"format":2', b'"format":3')
        file.write_bytes(newer)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(RepositoryError, match="was written in format 3 by a newer aeros-zarr"):
        examples.store(tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
