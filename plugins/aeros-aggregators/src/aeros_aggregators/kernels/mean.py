"""Weighted sums over vectors, and what becomes of them.

One element costs no more memory traffic than reading each vector once: a block of sums
stays in cache while every vector of the group is added to it.
"""

from __future__ import annotations

import numpy as np

from aeros_aggregators.kernels.compiling import kernel
from aeros_aggregators.kernels.memory import view
from aeros_core.parameters import Array

__all__ = ["BLOCK", "fold", "mean"]

BLOCK = 4096
"""Elements that stay in cache: 32 KB of float64 sums."""


@kernel
def _add_four(
    sums: Array,
    a: Array,
    b: Array,
    c: Array,
    d: Array,
    wa: float,
    wb: float,
    wc: float,
    wd: float,
) -> None:
    for i in range(sums.size):
        sums[i] = sums[i] + wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i]


@kernel
def _add_one(sums: Array, a: Array, weight: float) -> None:
    for i in range(sums.size):
        sums[i] = sums[i] + weight * a[i]


@kernel
def _add(block: Array, like: Array, table: Array, weights: Array, low: int) -> None:
    """Add to ``block`` the elements from ``low`` on of every array, times its weight."""
    n, fours = block.size, table.size // 4 * 4
    for k in range(0, fours, 4):
        _add_four(
            block,
            view(table[k], low, n, like),
            view(table[k + 1], low, n, like),
            view(table[k + 2], low, n, like),
            view(table[k + 3], low, n, like),
            weights[k],
            weights[k + 1],
            weights[k + 2],
            weights[k + 3],
        )
    for k in range(fours, table.size):
        _add_one(block, view(table[k], low, n, like), weights[k])


@kernel
def fold(
    sums: Array, like: Array, table: Array, weights: Array, fresh: bool, start: int, stop: int
) -> None:
    """Add ``weights[k]`` times the vector at ``table[k]`` to float64 ``sums``, for every k.

    Each element is added to in the order of the table, one after the other, so how
    arrivals are grouped into calls changes no bit. ``fresh``: what ``sums`` holds is junk.
    """
    for low in range(start, stop, BLOCK):
        block = sums[low : min(low + BLOCK, stop)]
        if fresh:
            block[:] = 0.0
        _add(block, like, table, weights, low)


@kernel
def _finish(out: Array, total: Array, before: Array, weight: float, kept: float) -> None:
    if kept == 0.0:
        for i in range(out.size):
            out[i] = total[i] / weight
    else:
        for i in range(out.size):
            out[i] = total[i] / weight + kept * before[i]


@kernel
def mean(
    out: Array,
    sums: Array,
    table: Array,
    weights: Array,
    fresh: bool,
    base: int,
    divisor: float,
    kept: float,
    start: int,
    stop: int,
) -> None:
    """Write ``sums / divisor + kept * base``, after what `fold` would add, to ``out``.

    The sums are not changed: where all updates come in one group, each is read once, the
    result is written once, and nothing else passes through memory.
    """
    buffer = np.empty(BLOCK, np.float64)
    for low in range(start, stop, BLOCK):
        high = min(low + BLOCK, stop)
        block = buffer[: high - low]
        if fresh:
            block[:] = 0.0
        else:
            block[:] = sums[low:high]
        _add(block, out, table, weights, low)
        _finish(out[low:high], block, view(base, low, high - low, out), divisor, kept)
