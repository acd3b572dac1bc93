import numpy as np
import pytest
import zarr

from aeros_core.errors import RepositoryError
from aeros_zarr import Compression
from aeros_zarr.blobs.blobs import Blobs
from aeros_zarr.format import arrays
from aeros_zarr.format.array_metadata import is_plain
from aeros_zarr.format.arrays import encode, host
from aeros_zarr.stores.disk import Disk

DTYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128",
]  # fmt: skip


def sample(dtype, shape):
    bits = np.random.default_rng(3).integers(0, 256, int(np.prod(shape)) * 16, dtype=np.uint8)
    with np.errstate(all="ignore"):
        return (
            (bits % 2).astype(bool)[: np.prod(shape)].reshape(shape)
            if dtype == "bool"
            else (bits.view(dtype)[: np.prod(shape)].reshape(shape))
        )


def stored(tmp_path, array, compression=Compression.none, **attributes):
    """Store an array and return the blob's folder and what is read back."""
    blobs = Blobs(Disk(tmp_path, durable=False), compression)
    [digest] = blobs.put("blobs", {"a": (array, attributes)}).values()
    return tmp_path / "blobs" / digest, blobs.get("blobs", digest)[0]


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("dtype", DTYPES)
def test_plain_zarr_reads_what_is_written(tmp_path, dtype, compression):
    array = sample(dtype, (11, 13))
    folder, back = stored(tmp_path, array, compression, layout=[["w", [3], "float32", 0]])
    opened = zarr.open_array(folder, mode="r")
    assert opened.metadata.zarr_format == 3
    assert opened.dtype == array.dtype
    assert opened[:].tobytes() == array.tobytes()
    assert opened.attrs["layout"] == [["w", [3], "float32", 0]]
    assert opened.attrs["shape"] == [11, 13]
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, (11, 13), array.tobytes())


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("size", [1, 99, 100, 101, 1000, 1001])
def test_chunks_of_any_number_and_a_last_one_that_is_short(
    tmp_path, monkeypatch, size, compression
):
    monkeypatch.setattr(arrays, "CHUNK", 400)
    array = sample("float32", (size,))
    folder, back = stored(tmp_path, array, compression)
    files = sorted(path.name for path in folder.iterdir())
    assert len(files) == 1 + -(-size // 100)
    assert zarr.open_array(folder, mode="r")[:].tobytes() == array.tobytes()
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize("compression", Compression)
def test_zeros_are_written_out_too(tmp_path, compression):
    folder, back = stored(tmp_path, np.zeros(50, np.float32), compression)
    assert (folder / "c.0").exists()
    assert back.tobytes() == bytes(200)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2)])
@pytest.mark.parametrize("compression", Compression)
def test_arrays_without_dimensions_or_elements(tmp_path, shape, compression):
    array = np.full(shape, 7, dtype=np.int64)
    folder, back = stored(tmp_path, array, compression)
    assert (back.shape, back.tobytes()) == (shape, array.tobytes())
    assert zarr.open_array(folder, mode="r")[:].tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a", "Größe", "\u2603"]),
        np.array([b"ab", b"c"]),
        np.array(["2026-01-01", "NaT"], dtype="datetime64[D]"),
        np.array([5, -1], dtype="timedelta64[ms]"),
        np.array([1 / 3, np.nan], dtype=np.longdouble),
    ],
    ids=lambda array: array.dtype.str,
)
def test_dtypes_that_zarr_does_not_have(tmp_path, array):
    _, back = stored(tmp_path, array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=">f4"),
        np.arange(12, dtype=np.float32)[::2],
        np.arange(12, dtype=np.float32).reshape(3, 4).T,
        np.frombuffer(bytes(8), dtype=np.float32),
    ],
    ids=["big-endian", "strided", "transposed", "read-only"],
)
def test_arrays_of_any_order_in_memory(tmp_path, array):
    _, back = stored(tmp_path, array)
    assert back.dtype.name == array.dtype.name
    assert back.dtype.isnative
    assert np.array_equal(back, array)
    back[...] = 1


def test_a_vector_of_another_library(tmp_path):
    class Foreign:
        """Speaks DLPack, as tensors of any device do."""

        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    array = np.arange(5, dtype=np.float32)
    _, back = stored(tmp_path, Foreign(array))
    assert np.array_equal(back, array)


def test_an_array_of_objects_is_refused():
    with pytest.raises(RepositoryError) as caught:
        host(np.array([object()]))
    assert str(caught.value) == (
        "an array of dtype object cannot be stored\n"
        "  exists: numbers, text, dates and durations can be stored"
    )


def test_an_uncompressed_chunk_is_the_memory_itself():
    array = np.arange(10, dtype=np.float32)
    encoded = encode(host(array), {})
    assert is_plain(encoded.document)
    assert np.shares_memory(np.frombuffer(encoded.chunks[0][0][0], np.float32), array)
