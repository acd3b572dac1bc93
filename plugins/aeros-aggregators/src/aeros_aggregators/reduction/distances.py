"""Squared distances between updates, whatever the size of their vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from aeros_aggregators.arrays import on_device, parallel
from aeros_aggregators.arrays.host import addresses
from aeros_aggregators.kernels import numpy_kernels
from aeros_aggregators.reduction.server_steps import ServerStep
from aeros_core.arrays import Array

__all__ = ["change", "from_mean", "gap", "pairs"]

Rows = Sequence[Array]

WORK = 1 << 25
"""Differences that numpy takes in less than the tenth part of a second."""


def pairs(rows: Rows) -> Array:
    """Return the squared distance of every row to every other, (K, K) in float64."""
    if on_device.there(rows[0]):
        return on_device.pairs(rows)
    count, size = len(rows), rows[0].size
    if size < numpy_kernels.SMALL and count * count * size < WORK:
        return _small_pairs(rows)
    from aeros_aggregators.kernels import distance as kernels

    padded = list(rows) + [rows[0]] * (-count % kernels.ROWS)
    partials = np.zeros((_spans(size), len(padded), len(padded)))
    like = np.empty(0, rows[0].dtype)
    parallel.spread(kernels.pairs, size, partials, like, addresses(padded))
    once = partials.sum(axis=0)[:count, :count]
    result: Array = once + once.T
    return result


def _small_pairs(rows: Rows) -> Array:
    result = np.zeros((len(rows), len(rows)))
    for i, row in enumerate(rows):
        for j in range(i):
            result[i, j] = result[j, i] = _square(np.subtract(row, rows[j], dtype=np.float64))
    return result


def gap(a: Array, b: Array | None) -> float:
    """Return the squared distance of two vectors; of ``a`` from zero without ``b``."""
    if a.size < numpy_kernels.SMALL:
        return _square(np.subtract(a, 0.0 if b is None else b, dtype=np.float64))
    from aeros_aggregators.kernels import distance as kernels

    partials, like = np.zeros(_spans(a.size)), np.empty(0, a.dtype)
    there = 0 if b is None else b.ctypes.data
    parallel.spread(kernels.gap, a.size, partials, like, a.ctypes.data, there)
    return math.fsum(partials)


def _square(vector: Array) -> float:
    return float((vector * vector).sum())  # BLAS would add up by its number of threads


def change(term: ServerStep) -> float:
    """Return the squared length of the mean change of the clients."""
    if term.small:
        moved = term.change()
        return _square(moved)
    from aeros_aggregators.kernels import distance as kernels

    partials, like = np.zeros(_spans(term.out.size)), np.empty(0, term.out.dtype)
    parallel.spread(kernels.change, term.out.size, partials, like, term.packed())
    return math.fsum(partials)


def from_mean(rows: Rows, weights: Array) -> Array:
    """Return the squared distance of each row to the sum of the rows times ``weights``."""
    if rows[0].size < numpy_kernels.SMALL:
        mean = np.empty(rows[0].size)
        numpy_kernels.fold(mean, rows, weights, fresh=True)
        return np.array([_square(row - mean) for row in rows])
    from aeros_aggregators.kernels import distance as kernels

    partials = np.zeros((_spans(rows[0].size), len(rows)))
    like = np.empty(0, rows[0].dtype)
    parallel.spread(kernels.from_mean, rows[0].size, partials, like, addresses(rows), weights)
    total: Array = partials.sum(axis=0)
    return total


def _spans(size: int) -> int:
    return -(-size // parallel.SPAN)
