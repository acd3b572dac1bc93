"""Vectors in a store: of one whose layout was stored before, what has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from aeros_core.arrays import Array
from aeros_core.errors import RepositoryError
from aeros_core.parameters import Layout, Parameters
from aeros_zarr import Compression
from aeros_zarr.blobs import vector_pieces
from aeros_zarr.blobs.blobs import Blobs, Stored
from aeros_zarr.blobs.vector_pieces import VectorPiece
from aeros_zarr.format.arrays import Encoded, encode, host, pieces

__all__ = ["put", "sources"]

K = TypeVar("K")


def put(
    blobs: Blobs,
    folder: str,
    parameters: Parameters,
    bases: Mapping[str, str],
    beside: Mapping[K, Stored],
) -> tuple[dict[str, str], dict[K, str]]:
    """Store the vectors of parameters, and other arrays.

    Pieces of a vector that its base has, another one that was stored with the same layout,
    are not stored again: the blob names those that hold them (`sources`).

    Args:
        blobs: Where.
        folder: Key of the folder.
        parameters: What is stored.
        bases: ``{dtype: digest of a blob in this folder}``.
        beside: Other arrays, as `Blobs.put` takes them.

    Returns:
        ``{dtype: digest of its blob}``, and the same for the others.

    Raises:
        RepositoryError: One is an array of Python objects.
        OSError: The disk refuses; nothing has appeared.
    """
    found = {
        dtype: _found(blobs, folder, host(vector), dtype, parameters.layout, bases.get(dtype))
        for dtype, vector in parameters.vectors.items()
    }
    new = {dtype: it for dtype, it in found.items() if isinstance(it, Encoded)}
    others = [encode(host(a), more, blobs.compression) for a, more in beside.values()]
    added = blobs.add(folder, [*new.values(), *others])
    named = {dtype: it for dtype, it in found.items() if isinstance(it, str)}
    named |= dict(zip(new, added, strict=False))
    ordered = {dtype: named[dtype] for dtype in found}
    return ordered, dict(zip(beside, added[len(new) :], strict=True))


def sources(blobs: Blobs, folder: str, digests: Mapping[str, str]) -> list[str]:
    """Return the other blobs that hold pieces of vectors that were just stored."""
    documents = [blobs.stored(folder, digest) for digest in digests.values()]
    return sorted({blob for document in documents for blob in vector_pieces.sources(document)})


def _found(
    blobs: Blobs, folder: str, vector: Array, dtype: str, layout: Layout, base: str | None
) -> str | Encoded:
    """Return what is to be stored of a vector, or the blob that holds all of it already."""
    borders = vector_pieces.borders(layout, dtype)
    chunks = pieces(vector, borders)
    flat = [piece for chunk in chunks for piece in chunk]
    reused = _reused(blobs, folder, flat, layout, base) if base else {}
    if base and reused and len(reused) == len(flat):
        return base
    said: dict[str, Any] = {"layout": layout.to_json()}
    if not reused and blobs.compression is Compression.none:
        said["samples"] = vector_pieces.samples(chunks)
        return encode(vector, said, borders=borders)
    fresh = [np.frombuffer(p, vector.dtype) for n, p in enumerate(flat) if n not in reused]
    rest = np.concatenate(fresh) if reused else vector
    return encode(rest, said | vector_pieces.described(flat, reused), blobs.compression)


def _reused(
    blobs: Blobs, folder: str, flat: Sequence[memoryview], layout: Layout, base: str
) -> dict[int, VectorPiece]:
    """Return the pieces of a vector that need not be stored, by position."""
    try:
        document = blobs.stored(folder, base)
    except (RepositoryError, OSError):
        return {}
    if document["attributes"].get("layout") != layout.to_json():
        return {}
    known = [replace(p, blob=p.blob or base) for p in vector_pieces.table(document)]
    return vector_pieces.worthwhile(
        vector_pieces.unchanged(flat, known), partial(blobs.usable, folder)
    )
