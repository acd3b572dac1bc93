"""The vectors of updates as rules add them up: whole, as codes, or as a few entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np

from aeros_aggregators.arrays import parallel
from aeros_aggregators.arrays.encoded_vectors import Code, Entries
from aeros_aggregators.arrays.host import addresses, host, is_real, working
from aeros_aggregators.codecs.quantised import decoded
from aeros_aggregators.kernels import numpy_kernels
from aeros_core.arrays import Array
from aeros_core.encoding import Encoded
from aeros_core.parameters import Parameters

__all__ = ["Dense", "Row", "Sparse", "encoding_of", "fold", "plain", "pointers", "row"]

Row: TypeAlias = Array | Code | Entries
"""One vector of one update."""


@runtime_checkable
class Dense(Protocol):
    """A codec of numbers in fewer bits."""

    def code(self, encoded: Encoded, dtype: str) -> Code:
        """Return the vector of ``dtype`` as kernels read it."""


@runtime_checkable
class Sparse(Protocol):
    """A codec that sends a part of the numbers."""

    def entries(self, encoded: Encoded, dtype: str) -> Entries:
        """Return what was sent of the vector of ``dtype``."""


def encoding_of(parameters: Parameters) -> object:
    """Return what parameters have to share so that their rows can be added in one pass."""
    vectors = parameters.vectors
    if type(vectors) is Encoded and isinstance(vectors.codec, Dense | Sparse):
        return vectors.codec
    return None


def row(parameters: Parameters, dtype: str) -> Row:
    """Return a vector as it is added up; short codes are decoded."""
    vectors = parameters.vectors
    if type(vectors) is Encoded and is_real(dtype):
        if isinstance(vectors.codec, Sparse):
            return vectors.codec.entries(vectors, dtype)
        if isinstance(vectors.codec, Dense) and vectors.sizes[dtype] >= numpy_kernels.SMALL:
            return vectors.codec.code(vectors, dtype)
    return host(vectors[dtype], working(dtype))


def plain(row: Array | Code) -> Array:
    """Return a row as a vector."""
    return decoded(row) if isinstance(row, Code) else row


def pointers(rows: Sequence[Array | Code], like: Array) -> tuple[Array, Array, Array, int]:
    """Return rows of one form as kernels take them; they have to be kept until these are done.

    Args:
        rows: Vectors, or codes.
        like: Of the dtype of vectors, where there is no row.

    Returns:
        An empty array of their dtype, their addresses, those of their scales, and the
        elements that share one.
    """
    if rows and isinstance(rows[0], Code):
        codes = [row for row in rows if isinstance(row, Code)]
        scales = [0 if code.scales is None else code.scales.ctypes.data for code in codes]
        table = addresses([code.values for code in codes])
        return np.empty(0, codes[0].values.dtype), table, np.array(scales, np.int64), codes[0].block
    table = addresses([plain(row) for row in rows])
    return np.empty(0, like.dtype), table, np.zeros(len(rows), np.int64), 1


def fold(total: Array, rows: Sequence[Row], weights: Sequence[float], fresh: bool) -> None:
    """Add rows of one form, times their weights, to ``total``; ``fresh``: it holds junk."""
    if isinstance(rows[0], Entries):
        _scatter(total, [r for r in rows if isinstance(r, Entries)], weights, fresh)
        return
    dense = [r for r in rows if not isinstance(r, Entries)]
    if total.size < numpy_kernels.SMALL:
        numpy_kernels.fold(total, [plain(row) for row in dense], weights, fresh)
        return
    from aeros_aggregators.kernels import codes, mean

    first, heavy = dense[0], np.array(weights)
    like, table, scales, block = pointers(dense, total if isinstance(first, Code) else first)
    if isinstance(first, Code):
        arguments = (total, like, table, scales, heavy, block, fresh)
        parallel.spread(codes.fold, total.size, *arguments)
    else:
        parallel.spread(mean.fold, total.size, total, like, table, heavy, fresh)


def _scatter(total: Array, rows: Sequence[Entries], weights: Sequence[float], fresh: bool) -> None:
    if total.size < numpy_kernels.SMALL:
        if fresh:
            total[:] = 0.0
        for (places, values), weight in zip(rows, weights, strict=True):
            total[places] += np.multiply(values, weight, dtype=np.float64)
        return
    from aeros_aggregators.kernels import sparse as kernels

    like = (np.empty(0, rows[0].places.dtype), np.empty(0, rows[0].values.dtype))
    spots, numbers = addresses([r.places for r in rows]), addresses([r.values for r in rows])
    table = np.stack([spots, numbers, np.array([r.places.size for r in rows])], axis=1)
    parallel.spread(kernels.scatter, total.size, total, like, table, np.array(weights), fresh)
