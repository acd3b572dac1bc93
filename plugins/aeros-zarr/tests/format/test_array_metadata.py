"""What a ``zarr.json`` says is looked at before anybody goes by it."""

import contextlib
import hashlib
import json
import resource

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from aeros_core.errors import RepositoryError
from aeros_core.parameters import Parameters
from aeros_core.testing.examples.fuzzing import changed
from aeros_zarr import Compression
from aeros_zarr.blobs import parameter_vectors
from aeros_zarr.blobs.blobs import Blobs
from aeros_zarr.format import arrays
from aeros_zarr.format.array_metadata import parsed
from aeros_zarr.stores.disk import Disk

DATA = np.random.default_rng(0).standard_normal(3000, dtype=np.float32)
KINDS = ["plain", "layers", "pieces", "zstd"]


def stored(path, kind):
    """Store a blob of this kind in several chunks; return the store's blobs and its digest."""
    blobs = Blobs(Disk(path, durable=False), Compression("zstd" if kind == "zstd" else "none"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "CHUNK", 8000)
        if kind in ("plain", "zstd"):
            return blobs, *blobs.put("blobs", {"": (DATA.reshape(30, 100), {})}).values()
        tensors = {"a": DATA[:1500], "b": DATA[1500:]}
        [first] = parameter_vectors.put(blobs, "blobs", Parameters.of(tensors), {}, {})[0].values()
        if kind == "layers":
            return blobs, first
        other = Parameters.of(tensors | {"a": tensors["a"] + 1})
        [second] = parameter_vectors.put(blobs, "blobs", other, {"float32": first}, {})[0].values()
        return blobs, second


@pytest.fixture(scope="module", params=KINDS)
def blob(request, tmp_path_factory):
    """Blobs, the folder of one, and what its ``zarr.json`` says."""
    path = tmp_path_factory.mktemp(request.param)
    blobs, digest = stored(path, request.param)
    folder = path / "blobs" / digest
    return blobs, folder, json.loads((folder / "zarr.json").read_bytes())


def again(folder, document):
    """Store a document under its own digest, beside the chunks of a blob; return the digest."""
    data = json.dumps(document).encode("utf-8", "surrogatepass")
    made = folder.with_name(hashlib.sha256(data).hexdigest())
    if not made.exists():
        made.mkdir()
        for chunk in folder.glob("c.*"):
            (made / chunk.name).hardlink_to(chunk)
        (made / "zarr.json").write_bytes(data)
    return made.name


@settings(deadline=None)
@given(data=st.data())
def test_whatever_it_says_is_delivered_or_refused(blob, data):
    blobs, folder, document = blob
    digest = again(folder, data.draw(changed(document)))
    with contextlib.suppress(RepositoryError):
        array, _ = blobs.get("blobs", digest)
        assert array.nbytes <= 3 * DATA.nbytes


def test_the_unchanged_one_is_read(blob):
    blobs, folder, document = blob
    array, _ = blobs.get("blobs", again(folder, document))
    assert array.size == DATA.size
    assert parsed((folder / "zarr.json").read_bytes()) == document


def enlarged(document, elements, chunk):
    grid = {"name": "regular", "configuration": {"chunk_shape": [chunk]}}
    said = document["attributes"]["sha256"][:1]
    attributes = {**document["attributes"], "shape": [elements], "sha256": said}
    return {**document, "shape": [elements], "chunk_grid": grid, "attributes": attributes}


@pytest.mark.parametrize("kind", ["plain", "zstd"])
def test_terabytes_that_are_announced_are_not_made_room_for(tmp_path, kind):
    blobs, digest = stored(tmp_path, kind)
    folder = tmp_path / "blobs" / digest
    document = json.loads((folder / "zarr.json").read_bytes())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for elements in (2**33, 2**40, 2**60, 10**30):
        made = again(folder, enlarged(document, elements, elements))
        with pytest.raises(RepositoryError, match=made):
            blobs.get("blobs", made)
    for chunk in (1, 2**20):
        made = again(folder, enlarged(document, 2**40, chunk))
        with pytest.raises(RepositoryError, match="the number of its checksums is not"):
            blobs.get("blobs", made)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_what_unpacks_to_terabytes_is_not_unpacked(tmp_path):
    """A frame of zeros, eight times as many as the chunk has bytes; and many in a row."""
    numcodecs = pytest.importorskip("numcodecs")
    blobs, digest = stored(tmp_path, "zstd")
    folder = tmp_path / "blobs" / digest
    document = json.loads((folder / "zarr.json").read_bytes())
    zeros = numcodecs.Zstd().encode(bytes(2**20))
    frame = numcodecs.Zstd().encode(DATA[:2000].tobytes())
    for data in (zeros, frame * 100, b"", frame[:-1], b"no frame"):
        [*_, last] = sorted(folder.glob("c.*"))
        last.unlink()
        last.write_bytes(data)
        sums = [hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob("c.*"))]
        attributes = {**document["attributes"], "sha256": sums}
        made = again(folder, {**document, "attributes": attributes})
        with pytest.raises(RepositoryError, match="does not decompress to the size of a chunk"):
            blobs.get("blobs", made)


def test_other_codecs_are_refused(tmp_path):
    """Nobody here has written them, and not of all is it known how much they unpack to."""
    zarr.create_array(
        tmp_path / "z", data=DATA, chunks=(1000,), compressors=zarr.codecs.BloscCodec(),
        attributes={"shape": [3000], "dtype": "<f4", "sha256": [3 * "a"] * 3},
    )  # fmt: skip
    with pytest.raises(ValueError, match="its dtype or codecs are not supported"):
        parsed((tmp_path / "z" / "zarr.json").read_bytes())


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[" * 100_000, b"null", b"{}", b'{"shape": [' + b"9" * 5000 + b"]}"]
)
def test_what_is_no_document_is_refused(data):
    with pytest.raises(ValueError, match=r"\w"):
        parsed(data)
