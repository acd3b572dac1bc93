"""Some tensors of a model are read without the others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.parameters import Parameters
from aeros_core.records import Model
from aeros_core.schema import Schema
from aeros_zarr import Compression
from aeros_zarr.blobs.blobs import Blobs
from aeros_zarr.format import arrays
from aeros_zarr.stores.disk import Disk

CHUNK = 8000
SIZES = {"base.weight": 3000, "base.bias": 7, "empty": 0, "head.weight": 2500, "head.bias": 10}


def parameters(seed=0):
    rng = np.random.default_rng(seed)
    tensors = {n: rng.standard_normal(size, np.float32) for n, size in SIZES.items()}
    return Parameters.of(tensors | {"count": np.arange(5000), "half": np.ones((3, 4), np.float16)})


def later():
    """The same with another head: stored, it shares the base."""
    changed = parameters()
    changed["head.weight"][...] += 1
    return changed


@pytest.fixture(params=["none", "zstd"])
def store(request, examples, tmp_path, monkeypatch):
    """Two versions of a model, in chunks of 8,000 bytes; the second holds its head alone."""
    monkeypatch.setattr(arrays, "CHUNK", CHUNK)
    made = examples.store(tmp_path, compression=Compression(request.param))
    for each in (parameters(), later()):
        made.publish(Model("model", each, Schema(())))
    return made


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "patterns",
    [["head.*"], ["base.bias", "count"], ["empty"], ["half", "*.weight"], ["*"]],
    ids=str,
)
def test_a_part_is_what_the_whole_has_there(store, version, patterns):
    whole = {1: parameters(), 2: later()}[version]
    part = store.part("model", version, tensors=patterns)
    assert list(part) == [spec.name for spec in whole.layout.matching(patterns)]
    for name, tensor in part.items():
        assert tensor.dtype == whole[name].dtype
        assert tensor.tobytes() == whole[name].tobytes()
        assert tensor.shape == whole[name].shape


def aside(file):
    return file.with_name(f"{file.name}.away")


def test_chunks_that_hold_nothing_of_it_are_not_read(store, tmp_path):
    [bias] = store.part("model", 1, tensors=["base.bias"]).vectors.values()
    files = {f for f in tmp_path.glob("blobs/*/c.*") if f.stat().st_size}
    for file in files:
        file.rename(aside(file))
    with pytest.raises(RepositoryError, match="is missing"):
        store.part("model", 1, tensors=["base.bias"])
    needed = set()
    for file in files:  # which one alone is enough?
        aside(file).rename(file)
        try:
            assert store.part("model", 1, tensors=["base.bias"])["base.bias"].tolist() == [*bias]
            needed.add(file)
        except RepositoryError:
            pass
        file.rename(aside(file))
    assert len(needed) == 1 < len(files)


def test_a_damaged_chunk_is_found_by_who_reads_it(store, tmp_path):
    before = store.part("model", 1, tensors=["head.bias"])
    for file in tmp_path.glob("blobs/*/c.0"):
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
    with pytest.raises(RepositoryError, match=r"version 1 of model 'model' cannot be read: .*c\.0"):
        store.part("model", 1, tensors=["base.weight"])
    assert store.part("model", 1, tensors=["head.bias"]).digest == before.digest


def test_a_pattern_that_matches_nothing(store):
    with pytest.raises(ConfigError) as caught:
        store.part("model", tensors=["head.*", "tail.*"])
    assert str(caught.value) == (
        "no tensor of model 'model' is called tail.*\n"
        "  exists: base.weight, base.bias, empty, head.weight, head.bias, count, half\n"
        "  next: a name, or a pattern with * and ?"
    )


@pytest.fixture(scope="module", params=["none", "zstd"])
def vector(request, tmp_path_factory):
    """Blobs, the digest of one that lies in several chunks, and its bytes."""
    data = np.random.default_rng(0).standard_normal(9001, np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "CHUNK", CHUNK)
        disk = Disk(tmp_path_factory.mktemp("blobs"), durable=False)
        blobs = Blobs(disk, Compression(request.param))
        [digest] = blobs.put("blobs", {"": (data, {})}).values()
    return blobs, digest, data.tobytes()


@settings(deadline=None)
@given(data=st.data())
def test_any_bytes_of_a_vector(vector, data):
    blobs, digest, whole = vector
    edge = st.integers(0, len(whole))
    spans = data.draw(st.lists(st.tuples(edge, edge).map(lambda s: (min(s), max(s))), max_size=5))
    found = blobs.part("blobs", digest, spans)
    assert [part.tobytes() for part in found] == [whole[at:end] for at, end in spans]


def test_bytes_behind_the_end_are_not_there(vector):
    blobs, digest, whole = vector
    with pytest.raises(RepositoryError, match="has fewer chunks"):
        blobs.part("blobs", digest, [(0, len(whole) + 2 * CHUNK)])
