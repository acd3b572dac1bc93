"""Parse and validate ``zarr.json``, the metadata of a stored array.

Before any memory is allocated, the length of the array, the number and size of its chunk files
and their checksums are checked for consistency, so damaged metadata cannot cause a large
allocation.

Specification: https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Any, TypeAlias

import numpy as np
from msgspec import UNSET, Struct, UnsetType

from aeros_core.arrays import PIECE, Array
from aeros_zarr.format import zstd_header
from aeros_zarr.format.validation import check, decode

__all__ = [
    "DTYPES",
    "STORABLE",
    "Document",
    "alone",
    "chunk_nbytes",
    "empty",
    "flat_nbytes",
    "in_pieces",
    "is_plain",
    "parsed",
    "restore",
    "unpack",
]

Document: TypeAlias = dict[str, Any]
"""The content of ``zarr.json``."""

_BITS = {
    "int": (8, 16, 32, 64),
    "uint": (8, 16, 32, 64),
    "float": (16, 32, 64),
    "complex": (64, 128),
}

DTYPES = {"bool", *(f"{kind}{n}" for kind, bits in _BITS.items() for n in bits)}
"""Dtypes that zarr and numpy have in common, under the same names."""

STORABLE = "biufcSUMm"
"""Kinds of numpy dtypes (``dtype.kind``) that can be stored."""

_DTYPE = re.compile(rf"[<|][{STORABLE}]\d+(\[\w+\])?", re.ASCII)
"""Form of numpy's ``dtype.str``; other spellings, some of them deprecated, are rejected."""


class _Chunks(Struct):
    chunk_shape: list[int]


class _Grid(Struct):
    name: str
    configuration: _Chunks


class _Codec(Struct):
    name: str
    configuration: dict[str, Any] | UnsetType = UNSET


class _Attributes(Struct):
    shape: list[int]
    dtype: str
    sha256: list[str | list[tuple[int, str]]]
    samples: list[list[tuple[int, int]]] | UnsetType = UNSET
    blobs: list[str] | UnsetType = UNSET
    pieces: list[tuple[int, str, int, int, int]] | UnsetType = UNSET
    layout: list[list[Any]] | UnsetType = UNSET


class _Metadata(Struct):
    """Required fields of a ``zarr.json``."""

    zarr_format: int
    shape: list[int]
    data_type: str
    chunk_grid: _Grid
    codecs: list[_Codec]
    attributes: _Attributes


_CODECS = (["bytes"], ["bytes", "zstd"])


def parsed(data: bytes) -> Document:
    """Return the validated content of a ``zarr.json``.

    Raises:
        ValueError: It does not describe an array as this package stores it.
    """
    try:
        document: Document = decode(data)
        check(document, _Metadata)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    attributes = document["attributes"]
    length, chunk = document["shape"], document["chunk_grid"]["configuration"]["chunk_shape"]
    if len(length) != 1 or len(chunk) != 1 or length[0] < 0 or chunk[0] < 1:
        raise ValueError("its array is not flat")
    if document["data_type"] not in DTYPES or not _is_little(document["codecs"]):
        raise ValueError("its dtype or codecs are not supported")
    if len(attributes["sha256"]) != -(-length[0] // chunk[0]):
        raise ValueError("the number of its checksums is not the number of its chunks")
    for checksum in attributes["sha256"]:
        _check_sum(checksum, chunk_nbytes(document), plain=is_plain(document))
    _check_array(flat_nbytes(document), attributes)
    _check_pieces(attributes)
    return document


def chunk_nbytes(document: Document) -> int:
    """Return the bytes of a decompressed chunk, including padding of the last one."""
    return _chunk_length(document) * np.dtype(document["data_type"]).itemsize


def alone(document: Document, n: int) -> Document:
    """Return the document of an array that consists of the n-th chunk of another.

    Raises:
        ValueError: The other array has fewer chunks.
    """
    sums = document["attributes"]["sha256"][n : n + 1]
    if not sums:
        raise ValueError("its array has fewer chunks")
    attributes = {**document["attributes"], "sha256": sums}
    return {**document, "shape": [_chunk_length(document)], "attributes": attributes}


def empty(document: Document) -> tuple[Array, list[tuple[memoryview, int]]]:
    """Return an uninitialised flat array and a view of it for each uncompressed chunk.

    Returns:
        The array, shape ``(elements,)``, and for each chunk file a view of the bytes that it
        holds and the number of padding bytes that follow them in the file.

    Raises:
        MemoryError: There is not enough memory.
    """
    flat = np.empty(document["shape"], dtype=document["data_type"])
    data, step = flat.view(np.uint8).data, chunk_nbytes(document)
    parts = [data[start : start + step] for start in range(0, len(data), step)]
    return flat, [(part, step - len(part)) for part in parts]


def flat_nbytes(document: Document) -> int:
    """Return the number of bytes of an array."""
    return int(document["shape"][0]) * np.dtype(document["data_type"]).itemsize


def is_plain(document: Document) -> bool:
    """Return whether the chunk files are uncompressed."""
    return [codec["name"] for codec in document["codecs"]] == ["bytes"]


def in_pieces(document: Document) -> bool:
    """Return whether the chunks, apart from padding, equal the pieces of a parameter digest."""
    return is_plain(document) and chunk_nbytes(document) == PIECE


def restore(flat: Array, document: Document) -> Array:
    """Return a flat array in its original shape and dtype."""
    attributes = document["attributes"]
    array: Array = flat.view(attributes["dtype"]).reshape(attributes["shape"])
    return array


def unpack(document: Document, files: Mapping[str, bytes]) -> Array:
    """Decompress chunk files with zarr; return the flat array.

    Args:
        document: Metadata of the array.
        files: Content of each chunk file by name.

    Raises:
        ValueError: A file does not decompress to the size of a chunk.
    """
    import zarr
    from zarr.core.buffer import default_buffer_prototype
    from zarr.storage import MemoryStore

    for name, data in files.items():
        if zstd_header.unpacked(data) != chunk_nbytes(document):
            raise ValueError(f"{name} does not decompress to the size of a chunk")
    prototype = default_buffer_prototype()
    everything = {"zarr.json": json.dumps(document).encode(), **files}
    store = MemoryStore({k: prototype.buffer.from_bytes(v) for k, v in everything.items()})
    return np.asarray(zarr.open_array(store, mode="r")[:])


def _chunk_length(document: Document) -> int:
    return int(document["chunk_grid"]["configuration"]["chunk_shape"][0])


def _is_little(codecs: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether chunks hold little-endian numbers, compressed or not."""
    named = [codec["name"] for codec in codecs]
    return named in _CODECS and codecs[0].get("configuration", {}).get("endian") != "big"


def _check_sum(checksum: Any, nbytes: int, *, plain: bool) -> None:
    """Check a chunk file's checksum; one in parts also lists the length of each part."""
    if isinstance(checksum, str):
        return
    lengths = [part[0] for part in checksum]
    if not plain or min(lengths, default=0) < 0 or sum(lengths) != nbytes:
        raise ValueError("the parts of a checksum do not add up to a chunk")


def _check_array(nbytes: int, attributes: Mapping[str, Any]) -> None:
    if not _DTYPE.fullmatch(attributes["dtype"]):
        raise ValueError("its array has no valid dtype")
    try:
        dtype = np.dtype(attributes["dtype"])
    except (TypeError, ValueError) as error:
        raise ValueError("its array has no valid dtype") from error
    shape = attributes["shape"]
    fitting = min(shape, default=0) >= 0 and dtype.itemsize > 0
    if not fitting or prod(shape) * dtype.itemsize != nbytes:
        raise ValueError("the size of its array does not match its shape and dtype")


def _check_pieces(attributes: Mapping[str, Any]) -> None:
    """Check the locations of a vector's pieces, if they lie in several blobs."""
    blobs, rows = attributes.get("blobs", []), attributes.get("pieces", [])
    placed = all(n >= 0 <= at and 0 <= blob < len(blobs) for n, _, _, blob, at in rows)
    if blobs[:1] not in ([], [""]) or not placed:
        raise ValueError("the locations of its pieces are invalid")
    lying = sorted((blobs[blob], at, at + n) for n, _, _, blob, at in rows if n)
    if any(one[0] == other[0] and one[2] > other[1] for one, other in pairwise(lying)):
        raise ValueError("pieces of its array overlap")
