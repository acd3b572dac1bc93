"""What the kernels do, in numpy, for vectors too short to load numba for.

Loading numba and its kernels from disk takes about a second, which is what a thousand
rounds of a small model spend here. Every function gives the bits its kernel gives, but
for `trimmed_mean` of more than two float64 values, which are added up in another order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from aeros_aggregators.kernels.arguments import Decay
from aeros_core.arrays import Array

__all__ = [
    "SMALL",
    "adagrad",
    "adam",
    "change",
    "decoded",
    "fold",
    "mean",
    "momentum",
    "nearest",
    "to_int8",
    "trimmed_mean",
]

SMALL = 1 << 17
"""Elements below which vectors are small; the kernels then save less than a millisecond."""


def fold(total: Array, arrays: Sequence[Array], weights: Iterable[float], fresh: bool) -> None:
    """Add each array times its weight to ``total``; see `mean.fold`."""
    if fresh:
        total[:] = 0.0
    for array, weight in zip(arrays, weights, strict=True):
        total += np.multiply(array, weight, dtype=np.float64)


def to_int8(out: Array, scales: Array, vector: Array, block: int) -> None:
    """Write whole numbers of steps, and each block's step, its greatest magnitude over 127.

    A block with a number that is not finite is all zero and has such a scale, too.
    """
    starts = np.arange(0, vector.size, block)
    with np.errstate(all="ignore"):
        greatest = np.maximum.reduceat(np.abs(vector), starts) if vector.size else scales
        good = (greatest >= np.float32(1e-30)) & np.isfinite(greatest)
        factors = np.where(good, np.float32(127.0) / greatest, np.float32(0.0))
        steps = np.rint(vector * np.repeat(factors, block)[: vector.size])
    scales[:] = greatest / np.float32(127.0)
    out[:] = np.where(np.repeat(good, block)[: vector.size], steps, 0.0)


def decoded(values: Array, scales: Array | None, block: int) -> Array:
    """Return codes as float32; see `codes.decode`."""
    if values.dtype == np.int16:
        return values.view(np.float16).astype(np.float32)
    if scales is None:
        bits: Array = values.astype(np.uint32) << 16
        return bits.view(np.float32)
    result: Array = values.astype(np.float32) * np.repeat(scales, block)[: values.size]
    return result


def mean(out: Array, total: Array, base: Array, weight: float, kept: float) -> None:
    """Write ``total / weight + kept * base``; see `mean.mean`."""
    result = total / weight
    if kept != 0.0:
        result += np.multiply(base, kept, dtype=np.float64)
    out[:] = result


def change(total: Array, base: Array, scale: float, share: float) -> Array:
    """Return the mean change of the clients, float64; see `kernels.steps`."""
    return scale * total - np.multiply(base, share, dtype=np.float64)


def momentum(
    out: Array, velocity: Array, moved: Array, base: Array, beta: float, rate: float
) -> None:
    """Take a step with momentum after the change ``moved``; see `server_optimizers.momentum`."""
    new = np.multiply(velocity, beta, dtype=np.float64) + moved
    velocity[:] = new
    out[:] = base + rate * new


def adam(out: Array, first: Array, second: Array, moved: Array, base: Array, decay: Decay) -> None:
    """Take a step of Adam or Yogi after the change ``moved``; see `server_optimizers.adam`."""
    beta1, beta2, rate, tau, bounded = decay
    first[:] = np.multiply(first, beta1, dtype=np.float64) + (1.0 - beta1) * moved
    old, square = second.astype(np.float64), moved * moved
    towards = (1.0 - beta2) * square
    second[:] = old - towards * np.sign(old - square) if bounded else beta2 * old + towards
    out[:] = base + rate * first / (np.sqrt(second) + tau)


def adagrad(out: Array, second: Array, moved: Array, base: Array, rate: float, tau: float) -> None:
    """Take a step of Adagrad after the change ``moved``; see `server_optimizers.adagrad`."""
    second[:] = second + moved * moved
    out[:] = base + rate * moved.astype(out.dtype) / (np.sqrt(second) + tau)


def trimmed_mean(out: Array, rows: Sequence[Array], cut: int) -> None:
    """Write the mean of each coordinate's middle values; see `order_statistics.middle`."""
    ordered = np.stack(rows, axis=1)
    ordered.sort(axis=1)
    _mean_of_ranks(out, ordered, cut, len(rows) - cut)


def nearest(out: Array, rows: Sequence[Array], kept: int) -> None:
    """Write the mean of the ``kept`` values nearest the median; see `order_statistics.nearest`."""
    ordered = np.stack(rows, axis=1)
    ordered.sort(axis=1)
    size, median = len(rows), np.empty_like(out)
    _mean_of_ranks(median, ordered, (size - 1) // 2, size // 2 + 1)
    total = np.zeros(out.size)
    for rank in range(kept):
        total += ordered[:, rank]
    best, radius = total, _radius(ordered, median, 0, kept)
    for first in range(1, size - kept + 1):
        total = total - ordered[:, first - 1] + ordered[:, first + kept - 1]
        other = _radius(ordered, median, first, kept)
        closer = other < radius
        best, radius = np.where(closer, total, best), np.where(closer, other, radius)
    out[:] = best / kept


def _mean_of_ranks(out: Array, ordered: Array, start: int, stop: int) -> None:
    if stop - start == 1:
        out[:] = ordered[:, start]
        return
    total = ordered[:, start].astype(np.float64)
    for rank in range(start + 1, stop):
        total += ordered[:, rank]
    out[:] = total / (stop - start)


def _radius(ordered: Array, median: Array, first: int, kept: int) -> Array:
    """Return how far from the median the ``kept`` values from rank ``first`` on reach."""
    below, above = median - ordered[:, first], ordered[:, first + kept - 1] - median
    return np.where(below > above, below, above)
