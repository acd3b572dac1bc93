"""Encode arrays as zarr v3: a metadata document, and chunk files ``c.0``, ``c.1``, ….

Uncompressed chunks are views of the array's memory and are written without a copy. (zarr itself
takes 4 ms, and 380 ms for its import, for an array of 30 kB, and does not call fsync.)
Compressed chunks are made by zarr in memory. `aeros_zarr.format.array_metadata` is the reading
side.

Specification: https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, TypeAlias

import numpy as np

from aeros_core.arrays import PIECE, Array, Vector
from aeros_core.errors import RepositoryError
from aeros_zarr import Compression
from aeros_zarr.format.array_metadata import DTYPES, STORABLE, Document

__all__ = [
    "CHUNK",
    "Encoded",
    "Part",
    "encode",
    "host",
    "pieces",
]

CHUNK = PIECE
"""Maximum bytes of a chunk."""

_PADDED = 32  # at most 1/32 of an array is padding

_ZSTD_LEVEL = 1  # higher levels do not make floats smaller

Part: TypeAlias = tuple[bytes | memoryview, ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    """An array, encoded for writing.

    Args:
        document: The metadata, without the checksums of the chunks.
        chunks: The parts of each chunk file, which are hashed separately; a part is one or
            several buffers that are concatenated.
    """

    document: Document
    chunks: Sequence[Sequence[Part]]


def host(vector: Vector) -> Array:
    """Return a vector on any device as a contiguous little-endian array in host memory.

    Raises:
        RepositoryError: It is an array of Python objects.
    """
    array = vector if isinstance(vector, np.ndarray) else np.from_dlpack(vector, device="cpu")
    if array.dtype.kind not in STORABLE:
        raise RepositoryError(
            f"an array of dtype {array.dtype} cannot be stored",
            exists="numbers, text, dates and durations can be stored",
        )
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def encode(
    array: Array,
    attributes: Mapping[str, Any],
    compression: Compression = Compression.none,
    borders: Sequence[int] | None = None,
) -> Encoded:
    """Encode a `host` array: flattened, with its shape and dtype as attributes.

    Args:
        array: The array.
        attributes: Other attributes to store with it.
        compression: Compression of its chunks.
        borders: Indices of the elements at which separately hashed parts begin; None for one
            part per chunk.
    """
    attributes = {**attributes, "shape": list(array.shape), "dtype": array.dtype.str}
    flat = _flat(array)
    document = _document(flat, attributes)
    if compression is Compression.zstd and flat.size:
        return _compressed(flat, document)
    chunks = _cut(flat, _chunk_length(document))
    if borders is None:
        return Encoded(document, [[chunk] for chunk in chunks])
    return Encoded(document, [_parts(*chunk, borders, array.itemsize) for chunk in _placed(chunks)])


def pieces(array: Array, borders: Sequence[int]) -> list[list[memoryview]]:
    """Return the parts of each uncompressed chunk that `encode` hashes separately."""
    flat = _flat(array)
    chunks = _cut(flat, max(1, _length(flat)))
    return [_divided(data, borders, array.itemsize, at) for at, data, _ in _placed(chunks)]


def _document(flat: Array, attributes: Mapping[str, Any]) -> Document:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [flat.size],
        "data_type": flat.dtype.name,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [_length(flat)]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": _zero(flat),
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "attributes": dict(attributes),
    }


def _length(flat: Array) -> int:
    """Return the elements per chunk: those of a digest piece, or an even division.

    zarr pads the last chunk, which would waste too much space for an array of few pieces.
    """
    chunks = max(1, -(-flat.nbytes // CHUNK))
    if chunks > 1 and (chunks * CHUNK - flat.nbytes) * _PADDED <= flat.nbytes:
        return max(1, CHUNK // flat.itemsize)
    return max(1, -(-flat.size // chunks))


def _flat(array: Array) -> Array:
    flat = array.reshape(-1)
    return flat if flat.dtype.name in DTYPES else flat.view(np.uint8)


def _placed(chunks: Sequence[tuple[memoryview, bytes]]) -> list[tuple[int, memoryview, bytes]]:
    starts = accumulate((len(data) for data, _ in chunks), initial=0)
    return [(at, *chunk) for at, chunk in zip(starts, chunks, strict=False)]


def _parts(
    at: int, data: memoryview, padding: bytes, borders: Sequence[int], width: int
) -> list[Part]:
    parts: list[Part] = [(part,) for part in _divided(data, borders, width, at)]
    return [*parts, (padding,)] if padding else parts


def _divided(data: memoryview, borders: Sequence[int], width: int, at: int) -> list[memoryview]:
    """Split a chunk, which begins at byte ``at`` of the array, at the borders within it."""
    first = bisect_right(borders, at // width)
    last = bisect_left(borders, (at + len(data)) // width)
    edges = [0, *(edge * width - at for edge in borders[first:last]), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def _zero(flat: Array) -> Any:
    zero = np.zeros((), flat.dtype).item()
    return [0.0, 0.0] if isinstance(zero, complex) else zero


def _chunk_length(document: Document) -> int:
    return int(document["chunk_grid"]["configuration"]["chunk_shape"][0])


def _cut(flat: Array, length: int) -> list[tuple[memoryview, bytes]]:
    data = flat.view(np.uint8).data
    step = length * flat.itemsize
    parts = [data[start : start + step] for start in range(0, len(data), step)]
    return [(part, bytes(step - len(part))) for part in parts]


def _compressed(flat: Array, document: Document) -> Encoded:
    import zarr
    from zarr.codecs import ZstdCodec
    from zarr.core.buffer import Buffer
    from zarr.storage import MemoryStore

    files: dict[str, Buffer] = {}
    zarr.create_array(
        MemoryStore(files),
        data=flat,
        chunks=(_chunk_length(document),),
        compressors=ZstdCodec(level=_ZSTD_LEVEL),
        chunk_key_encoding={"name": "default", "separator": "."},
        attributes=document["attributes"],
        config={"write_empty_chunks": True},
    )
    written = json.loads(files.pop("zarr.json").to_bytes())
    return Encoded(written, [[(files[f"c.{n}"].to_bytes(),)] for n in range(len(files))])
