"""``zarr.json``: what it says of an array, and how to go by that.

Nothing of it is believed before it was looked at as a whole: how long the array is, how many
chunk files it has, what is in them, and that all of this agrees. So nobody makes room for an
array that is not there.

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
"""What zarr calls dtypes that numpy has too, each by the same name."""

STORABLE = "biufcSUMm"
"""Kinds of numpy's dtypes that are stored; of others their bytes are."""

_DTYPE = re.compile(rf"[<|][{STORABLE}]\d+(\[\w+\])?", re.ASCII)
"""What numpy calls ``dtype.str``; it knows dtypes by other names, too, some of them no more."""


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
    """What a ``zarr.json`` has to hold."""

    zarr_format: int
    shape: list[int]
    data_type: str
    chunk_grid: _Grid
    codecs: list[_Codec]
    attributes: _Attributes


_CODECS = (["bytes"], ["bytes", "zstd"])


def parsed(data: bytes) -> Document:
    """Return what a ``zarr.json`` says.

    Raises:
        ValueError: It is none of an array as it is stored here.
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
        raise ValueError("its array is stored in another way than here")
    if len(attributes["sha256"]) != -(-length[0] // chunk[0]):
        raise ValueError("it has not one sum for each chunk")
    for said in attributes["sha256"]:
        _check_sum(said, chunk_nbytes(document), plain=is_plain(document))
    _check_array(flat_nbytes(document), attributes)
    _check_pieces(attributes)
    return document


def chunk_nbytes(document: Document) -> int:
    """Return the bytes of an unpacked chunk; what fills up the last one is counted, too."""
    return _chunk_length(document) * np.dtype(document["data_type"]).itemsize


def alone(document: Document, n: int) -> Document:
    """Return the document of an array that is one chunk of another, the whole of its file.

    Raises:
        ValueError: The other has fewer chunks.
    """
    sums = document["attributes"]["sha256"][n : n + 1]
    if not sums:
        raise ValueError("its array ends too early")
    attributes = {**document["attributes"], "sha256": sums}
    return {**document, "shape": [_chunk_length(document)], "attributes": attributes}


def empty(document: Document) -> tuple[Array, list[tuple[memoryview, int]]]:
    """Return an uninitialised flat array, and where each plain chunk of it belongs.

    Returns:
        The array, and for each chunk file the bytes of the array that it holds and the
        number of bytes of padding that follow them in the file.

    Raises:
        MemoryError: There is no room for it.
    """
    flat = np.empty(document["shape"], dtype=document["data_type"])
    data, step = flat.view(np.uint8).data, chunk_nbytes(document)
    parts = [data[start : start + step] for start in range(0, len(data), step)]
    return flat, [(part, step - len(part)) for part in parts]


def flat_nbytes(document: Document) -> int:
    """Return the bytes of an array."""
    return int(document["shape"][0]) * np.dtype(document["data_type"]).itemsize


def is_plain(document: Document) -> bool:
    """Tell whether chunk files hold the array's bytes as they are."""
    return [codec["name"] for codec in document["codecs"]] == ["bytes"]


def in_pieces(document: Document) -> bool:
    """Tell whether chunks, but for padding, are the pieces that parameters are hashed in."""
    return is_plain(document) and chunk_nbytes(document) == PIECE


def restore(flat: Array, document: Document) -> Array:
    """Return a flat array in the shape and dtype that it had when it was encoded."""
    attributes = document["attributes"]
    array: Array = flat.view(attributes["dtype"]).reshape(attributes["shape"])
    return array


def unpack(document: Document, files: Mapping[str, bytes]) -> Array:
    """Return the flat array whose compressed files these are.

    Raises:
        ValueError: A file unpacks to anything else than a chunk.
    """
    import zarr
    from zarr.core.buffer import default_buffer_prototype
    from zarr.storage import MemoryStore

    for name, data in files.items():
        if zstd_header.unpacked(data) != chunk_nbytes(document):
            raise ValueError(f"{name} does not unpack to the bytes of a chunk")
    prototype = default_buffer_prototype()
    everything = {"zarr.json": json.dumps(document).encode(), **files}
    store = MemoryStore({k: prototype.buffer.from_bytes(v) for k, v in everything.items()})
    return np.asarray(zarr.open_array(store, mode="r")[:])


def _chunk_length(document: Document) -> int:
    return int(document["chunk_grid"]["configuration"]["chunk_shape"][0])


def _is_little(codecs: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether chunks hold little-endian numbers, compressed or not."""
    named = [codec["name"] for codec in codecs]
    return named in _CODECS and codecs[0].get("configuration", {}).get("endian") != "big"


def _check_sum(said: Any, nbytes: int, *, plain: bool) -> None:
    """Look at the sum of a chunk file, which tells its bytes where it consists of parts."""
    if isinstance(said, str):
        return
    lengths = [part[0] for part in said]
    if not plain or min(lengths, default=0) < 0 or sum(lengths) != nbytes:
        raise ValueError("a sum is not that of a chunk")


def _check_array(nbytes: int, attributes: Mapping[str, Any]) -> None:
    if not _DTYPE.fullmatch(attributes["dtype"]):
        raise ValueError("its array has no dtype")
    try:
        dtype = np.dtype(attributes["dtype"])
    except (TypeError, ValueError) as error:
        raise ValueError("its array has no dtype") from error
    shape = attributes["shape"]
    fitting = min(shape, default=0) >= 0 and dtype.itemsize > 0
    if not fitting or prod(shape) * dtype.itemsize != nbytes:
        raise ValueError("its array has not the bytes of its shape")


def _check_pieces(attributes: Mapping[str, Any]) -> None:
    """Look at where the pieces of a vector lie, if in several blobs."""
    blobs, rows = attributes.get("blobs", []), attributes.get("pieces", [])
    placed = all(n >= 0 <= at and 0 <= blob < len(blobs) for n, _, _, blob, at in rows)
    if blobs[:1] not in ([], [""]) or not placed:
        raise ValueError("it does not say where the pieces of its array lie")
    lying = sorted((blobs[blob], at, at + n) for n, _, _, blob, at in rows if n)
    if any(one[0] == other[0] and one[2] > other[1] for one, other in pairwise(lying)):
        raise ValueError("pieces of its array lie one upon the other")
