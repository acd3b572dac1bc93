"""``zarr.json``: what it says of an array, and how to go by that.

Nothing of it is believed before it was looked at as a whole: how long the array is, how many
chunk files it has, what is in them, and that all of this agrees. So nobody makes room for an
array that is not there.

Specification: https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np

from aeros_core.parameters import PIECE, Array
from aeros_zarr import zstandard
from aeros_zarr.forms import many, one_of, record, row

__all__ = [
    "DTYPES",
    "STORABLE",
    "Document",
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

_FORM = record(
    {
        "zarr_format": int,
        "shape": many(int),
        "data_type": str,
        "chunk_grid": record({"name": str, "configuration": record({"chunk_shape": many(int)})}),
        "codecs": many(record({"name": str}, {"configuration": dict})),
        "attributes": record(
            {"shape": many(int), "dtype": str, "sha256": many(one_of(str, many(row(int, str))))},
            {
                "samples": many(many(row(int, int))),
                "blobs": many(str),
                "pieces": many(row(int, str, int, int, int)),
                "layout": many(list),
            },
        ),
    }
)
_CODECS = (["bytes"], ["bytes", "zstd"])


def parsed(data: bytes) -> Document:
    """Return what a ``zarr.json`` says.

    Raises:
        ValueError: It is none of an array as it is stored here.
    """
    try:
        document = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not _FORM(document):
        raise ValueError("it does not describe an array")
    attributes = document["attributes"]
    length, chunk = document["shape"], document["chunk_grid"]["configuration"]["chunk_shape"]
    if len(length) != 1 or len(chunk) != 1 or length[0] < 0 or chunk[0] < 1:
        raise ValueError("its array is not flat")
    if document["data_type"] not in DTYPES or not _is_little(document["codecs"]):
        raise ValueError("its array is stored in another way than here")
    if len(attributes["sha256"]) != -(-length[0] // chunk[0]):
        raise ValueError("it has not one sum for each chunk")
    for said in attributes["sha256"]:
        _check_sum(said, _chunk_nbytes(document), plain=is_plain(document))
    _check_array(flat_nbytes(document), attributes)
    _check_pieces(attributes)
    return document  # type: ignore[no-any-return]


def empty(document: Document) -> tuple[Array, list[tuple[memoryview, int]]]:
    """Return an uninitialised flat array, and where each plain chunk of it belongs.

    Returns:
        The array, and for each chunk file the bytes of the array that it holds and the
        number of bytes of padding that follow them in the file.

    Raises:
        MemoryError: There is no room for it.
    """
    flat = np.empty(document["shape"], dtype=document["data_type"])
    data, step = flat.view(np.uint8).data, _chunk_nbytes(document)
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
    return is_plain(document) and _chunk_nbytes(document) == PIECE


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
        if zstandard.unpacked(data) != _chunk_nbytes(document):
            raise ValueError(f"{name} does not unpack to the bytes of a chunk")
    prototype = default_buffer_prototype()
    everything = {"zarr.json": json.dumps(document).encode(), **files}
    store = MemoryStore({k: prototype.buffer.from_bytes(v) for k, v in everything.items()})
    return np.asarray(zarr.open_array(store, mode="r")[:])


def _chunk_nbytes(document: Document) -> int:
    length = int(document["chunk_grid"]["configuration"]["chunk_shape"][0])
    return length * np.dtype(document["data_type"]).itemsize


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
    try:
        dtype = np.dtype(attributes["dtype"])
    except (TypeError, ValueError, SyntaxError, DeprecationWarning) as error:
        raise ValueError("its array has no dtype") from error
    shape = attributes["shape"]
    fitting = dtype.kind in STORABLE and min(shape, default=0) >= 0 and dtype.itemsize > 0
    if not fitting or prod(shape) * dtype.itemsize != nbytes:
        raise ValueError("its array has not the bytes of its shape")


def _check_pieces(attributes: Mapping[str, Any]) -> None:
    """Look at where the pieces of a vector lie, if in several blobs."""
    blobs, rows = attributes.get("blobs", []), attributes.get("pieces", [])
    placed = all(n >= 0 <= at and 0 <= blob < len(blobs) for n, _, _, blob, at in rows)
    if blobs[:1] not in ([], [""]) or not placed:
        raise ValueError("it does not say where the pieces of its array lie")
