"""Store parameter vectors: only the pieces that differ from a base of the same layout."""

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
    others: Mapping[K, Stored],
) -> tuple[dict[str, str], dict[K, str]]:
    """Store the vectors of parameters, and other arrays.

    Pieces of a vector that its base, a stored vector of the same layout, already has are not
    stored again: the blob refers to the blobs that hold them (`sources`).

    Args:
        blobs: The blobs of a store.
        folder: Key of the folder.
        parameters: The parameters to store.
        bases: ``{dtype: digest of a blob in this folder}``.
        others: Other arrays, as `Blobs.put` takes them.

    Returns:
        ``{dtype: digest of its blob}`` of the vectors, and ``{name: digest}`` of the others.

    Raises:
        RepositoryError: One is an array of Python objects.
        OSError: The store cannot be written; no blob has appeared.
    """
    found = {
        dtype: _found(blobs, folder, host(vector), dtype, parameters.layout, bases.get(dtype))
        for dtype, vector in parameters.vectors.items()
    }
    new = {dtype: it for dtype, it in found.items() if isinstance(it, Encoded)}
    encoded = [encode(host(a), more, blobs.compression) for a, more in others.values()]
    added = blobs.add(folder, [*new.values(), *encoded])
    named = {dtype: it for dtype, it in found.items() if isinstance(it, str)}
    named |= dict(zip(new, added, strict=False))
    ordered = {dtype: named[dtype] for dtype in found}
    return ordered, dict(zip(others, added[len(new) :], strict=True))


def sources(blobs: Blobs, folder: str, digests: Mapping[str, str]) -> list[str]:
    """Return the other blobs that hold pieces of newly stored vectors."""
    documents = [blobs.stored(folder, digest) for digest in digests.values()]
    return sorted({blob for document in documents for blob in vector_pieces.sources(document)})


def _found(
    blobs: Blobs, folder: str, vector: Array, dtype: str, layout: Layout, base: str | None
) -> str | Encoded:
    """Return the encoded changes of a vector, or the digest of a blob that equals it."""
    borders = vector_pieces.borders(layout, dtype)
    chunks = pieces(vector, borders)
    flat = [piece for chunk in chunks for piece in chunk]
    reused = _reused(blobs, folder, flat, layout, base) if base else {}
    if base and reused and len(reused) == len(flat):
        return base
    attributes: dict[str, Any] = {"layout": layout.to_json()}
    if not reused and blobs.compression is Compression.none:
        attributes["samples"] = vector_pieces.samples(chunks)
        return encode(vector, attributes, borders=borders)
    fresh = [np.frombuffer(p, vector.dtype) for n, p in enumerate(flat) if n not in reused]
    rest = np.concatenate(fresh) if reused else vector
    attributes |= vector_pieces.described(flat, reused)
    return encode(rest, attributes, blobs.compression)


def _reused(
    blobs: Blobs, folder: str, flat: Sequence[memoryview], layout: Layout, base: str
) -> dict[int, VectorPiece]:
    """Return the pieces of a vector that are stored already, by position."""
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
