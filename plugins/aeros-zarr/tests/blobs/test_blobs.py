import hashlib
import json

import numpy as np
import pytest

from aeros_core.errors import RepositoryError
from aeros_zarr import Compression
from aeros_zarr.blobs.blobs import Blobs
from aeros_zarr.format import arrays
from aeros_zarr.stores.disk import Disk

DATA = np.random.default_rng(0).standard_normal(1001, dtype=np.float32)


@pytest.fixture(params=Compression)
def blobs(request, tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "CHUNK", 1024)
    return Blobs(Disk(tmp_path, durable=False), request.param)


def put(blobs, array=DATA):
    [digest] = blobs.put("blobs", {"a": (array, {"of": "test"})}).values()
    return digest


def test_every_name_is_the_sha256_that_any_tool_computes(blobs, tmp_path):
    digest = put(blobs)
    metadata = (tmp_path / "blobs" / digest / "zarr.json").read_bytes()
    assert hashlib.sha256(metadata).hexdigest() == digest
    for n, named in enumerate(json.loads(metadata)["attributes"]["sha256"]):
        chunk = (tmp_path / "blobs" / digest / f"c.{n}").read_bytes()
        assert hashlib.sha256(chunk).hexdigest() == named


def test_an_array_comes_back_with_its_attributes(blobs):
    array, attributes = blobs.get("blobs", put(blobs))
    assert array.tobytes() == DATA.tobytes()
    assert attributes["of"] == "test"


def test_several_are_stored_at_once_under_their_own_names(blobs):
    stored = {n: (DATA[:n].copy(), {}) for n in (1, 300, 1001)}
    for n, digest in blobs.put("blobs", stored).items():
        assert blobs.get("blobs", digest)[0].tobytes() == DATA[:n].tobytes()


def test_nothing_to_store_is_no_blob(blobs, tmp_path):
    assert blobs.put("blobs", {}) == {}


def test_the_same_content_is_stored_once(blobs, tmp_path):
    first = put(blobs)
    inodes = {path.name: path.stat().st_ino for path in (tmp_path / "blobs" / first).iterdir()}
    assert put(blobs) == first
    assert {p.name: p.stat().st_ino for p in (tmp_path / "blobs" / first).iterdir()} == inodes
    assert list((tmp_path / "tmp").iterdir()) == []


def test_storing_it_again_heals_a_damaged_one(blobs, tmp_path):
    digest = put(blobs)
    (tmp_path / "blobs" / digest / "c.0").write_bytes(b"")
    (tmp_path / "blobs" / digest / "c.1").unlink()
    assert put(blobs) == digest
    assert blobs.get("blobs", digest)[0].tobytes() == DATA.tobytes()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_other_dtypes_and_attributes_are_other_blobs(blobs):
    zeros = [np.zeros(4, np.float32), np.zeros(4, np.int32), np.zeros((2, 2), np.float32)]
    assert len({put(blobs, array) for array in zeros}) == 3


def test_a_flipped_bit_in_any_file_is_found_and_named(blobs, tmp_path):
    digest = put(blobs)
    for path in (tmp_path / "blobs" / digest).iterdir():
        whole = path.read_bytes()
        for place in (0, len(whole) // 2, len(whole) - 1):
            flipped = bytearray(whole)
            flipped[place] ^= 1
            path.write_bytes(flipped)
            with pytest.raises(RepositoryError) as caught:
                blobs.get("blobs", digest)
            assert str(caught.value) == (
                f"{path} is damaged: its SHA-256 is not the one it was stored with\n"
                "  next: aeros models verify --heal, or --heal-from COPY, a copy of the repository"
            )
        path.write_bytes(whole)
    assert blobs.get("blobs", digest)[0].tobytes() == DATA.tobytes()


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b""])
def test_a_file_of_another_length_is_found(blobs, tmp_path, change):
    digest = put(blobs)
    for path in (tmp_path / "blobs" / digest).iterdir():
        whole = path.read_bytes()
        path.write_bytes(change(whole))
        with pytest.raises(RepositoryError, match=f"{path.name} is damaged"):
            blobs.get("blobs", digest)
        path.write_bytes(whole)


def test_a_missing_file_is_named(blobs, tmp_path):
    digest = put(blobs)
    for path in (tmp_path / "blobs" / digest).iterdir():
        whole = path.read_bytes()
        path.unlink()
        with pytest.raises(RepositoryError, match=f"{path.name} is damaged: it is missing"):
            blobs.get("blobs", digest)
        path.write_bytes(whole)


@pytest.mark.parametrize("name", ["../../etc", "", "A" * 64, "0" * 63])
def test_what_is_no_digest_is_neither_read_nor_removed(blobs, name):
    with pytest.raises(RepositoryError, match="is not the digest of a blob"):
        blobs.get("blobs", name)
    with pytest.raises(RepositoryError, match="is not the digest of a blob"):
        blobs.remove("blobs", [name])


def test_removed_blobs_are_gone_and_others_stay(blobs):
    first, second = put(blobs), put(blobs, DATA[:5])
    blobs.remove("blobs", [first])
    blobs.remove("blobs", [first])
    assert blobs.get("blobs", second)[0].tobytes() == DATA[:5].tobytes()
    with pytest.raises(RepositoryError, match="missing"):
        blobs.get("blobs", first)


def test_a_failed_write_leaves_nothing(blobs, tmp_path, monkeypatch):
    def fail(self, path, *parts):
        if path.name == "c.2":
            raise OSError(28, "No space left on device")
        write(self, path, *parts)

    write = Disk.write
    monkeypatch.setattr(Disk, "write", fail)
    with pytest.raises(OSError, match="No space"):
        put(blobs)
    assert not (tmp_path / "blobs").exists()
    assert list((tmp_path / "tmp").iterdir()) == []
