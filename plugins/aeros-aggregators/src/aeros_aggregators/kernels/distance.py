"""Squared distances, summed in one pass over memory.

Sums are kept for each span of `parallel.SPAN` elements and added up in order afterwards,
so the number of threads changes no bit. Differences are squared, never the vectors
themselves: a Gram matrix loses its digits where updates lie close together, as they do
late in training.
"""

from __future__ import annotations

import numpy as np

from aeros_aggregators.arrays.parallel import SPAN
from aeros_aggregators.kernels.arguments import Sum
from aeros_aggregators.kernels.jit import kernel, reduction
from aeros_aggregators.kernels.mean import fold, gather
from aeros_aggregators.kernels.memory import view
from aeros_core.arrays import Array

__all__ = ["ROWS", "change", "from_mean", "gap", "pairs"]

ROWS, COLUMNS = 2, 4
"""Distances that are summed at once: their sums and vectors fill 16 registers."""

BLOCK = 2048
"""Elements whose squares are summed in the dtype of the vectors, and stay in cache."""


@reduction
def _tile(
    sums: Array, i: int, j: int, a: Array, b: Array, p: Array, q: Array, r: Array, s: Array
) -> None:
    """Add the squared distances of two vectors to four others."""
    zero = a.dtype.type(0)
    ap = aq = ar = as_ = bp = bq = br = bs = zero
    for k in range(a.size):
        x, y = a[k], b[k]
        ap += (x - p[k]) * (x - p[k])
        aq += (x - q[k]) * (x - q[k])
        ar += (x - r[k]) * (x - r[k])
        as_ += (x - s[k]) * (x - s[k])
        bp += (y - p[k]) * (y - p[k])
        bq += (y - q[k]) * (y - q[k])
        br += (y - r[k]) * (y - r[k])
        bs += (y - s[k]) * (y - s[k])
    sums[i, j] += ap
    sums[i, j + 1] += aq
    sums[i, j + 2] += ar
    sums[i, j + 3] += as_
    sums[i + 1, j] += bp
    sums[i + 1, j + 1] += bq
    sums[i + 1, j + 2] += br
    sums[i + 1, j + 3] += bs


@reduction
def _squared(a: Array, b: Array) -> float:
    total = 0.0
    for i in range(a.size):
        difference = np.float64(a[i]) - b[i]
        total += difference * difference
    return total


@reduction
def _squared_length(a: Array) -> float:
    total = 0.0
    for i in range(a.size):
        total += np.float64(a[i]) * a[i]
    return total


@reduction
def _corner(sums: Array, i: int, p: Array, q: Array, r: Array, s: Array) -> None:
    """Add the squared distances of four vectors to each other."""
    zero = p.dtype.type(0)
    pq = pr = ps = qr = qs = rs = zero
    for k in range(p.size):
        w, x, y, z = p[k], q[k], r[k], s[k]
        pq += (w - x) * (w - x)
        pr += (w - y) * (w - y)
        ps += (w - z) * (w - z)
        qr += (x - y) * (x - y)
        qs += (x - z) * (x - z)
        rs += (y - z) * (y - z)
    sums[i, i + 1] += pq
    sums[i, i + 2] += pr
    sums[i, i + 3] += ps
    sums[i + 1, i + 2] += qr
    sums[i + 1, i + 3] += qs
    sums[i + 2, i + 3] += rs


@kernel
def _row(sums: Array, like: Array, table: Array, i: int, j: int, low: int, n: int) -> None:
    """Add the squared distances of two arrays, from ``i`` on, to four, from ``j`` on."""
    a, b = view(table[i], low, n, like), view(table[i + 1], low, n, like)
    p, q = view(table[j], low, n, like), view(table[j + 1], low, n, like)
    r, s = view(table[j + 2], low, n, like), view(table[j + 3], low, n, like)
    _tile(sums, i, j, a, b, p, q, r, s)


@kernel
def _group(sums: Array, like: Array, table: Array, i: int, low: int, n: int) -> None:
    """Add the squared distances of four arrays, from ``i`` on, to each other."""
    p, q = view(table[i], low, n, like), view(table[i + 1], low, n, like)
    r, s = view(table[i + 2], low, n, like), view(table[i + 3], low, n, like)
    _corner(sums, i, p, q, r, s)


@kernel
def pairs(partials: Array, like: Array, table: Array, start: int, stop: int) -> None:
    """Add the squared distance of each pair of arrays to one of its two places, by span.

    Args:
        partials: Sums of shape (spans, arrays, arrays), zero at first.
        like: Of the dtype of the arrays.
        table: Their addresses, a multiple of `ROWS`.
        start: First element, a multiple of `parallel.SPAN`.
        stop: Element before which to end.
    """
    whole = table.size // COLUMNS * COLUMNS
    for low in range(start, stop, BLOCK):
        n = min(BLOCK, stop - low)
        sums = partials[low // SPAN]
        for i in range(0, whole, COLUMNS):
            _group(sums, like, table, i, low, n)
            for j in range(i + COLUMNS, whole, COLUMNS):
                _row(sums, like, table, i, j, low, n)
                _row(sums, like, table, i + ROWS, j, low, n)
        if whole < table.size:  # two are left
            a, b = view(table[whole], low, n, like), view(table[whole + 1], low, n, like)
            sums[whole, whole + 1] += _squared(a, b)
            for j in range(0, whole, COLUMNS):
                _row(sums, like, table, whole, j, low, n)


@kernel
def gap(partials: Array, like: Array, a: int, b: int, start: int, stop: int) -> None:
    """Write the squared distance of two arrays to ``partials``, by span.

    The arrays are given by address; no ``b``, 0, stands for zeros.
    """
    for low in range(start, stop, SPAN):
        n = min(SPAN, stop - low)
        if b == 0:
            partials[low // SPAN] = _squared_length(view(a, low, n, like))
        else:
            partials[low // SPAN] = _squared(view(a, low, n, like), view(b, low, n, like))


@reduction
def _squared_change(total: Array, before: Array, scale: float, share: float) -> float:
    result = 0.0
    for i in range(total.size):
        moved = scale * total[i] - share * before[i]
        result += moved * moved
    return result


@kernel
def change(partials: Array, like: Array, sums: Sum, start: int, stop: int) -> None:
    """Add the square of the mean change, see `kernels.steps`, to ``partials`` by span."""
    buffer = np.empty(BLOCK, np.float64)
    for low in range(start, stop, BLOCK):
        n = min(BLOCK, stop - low)
        gather(buffer[:n], sums, low)
        before = view(sums.base, low, n, like)
        partials[low // SPAN] += _squared_change(buffer[:n], before, 1.0 / sums.weight, sums.share)


@kernel
def from_mean(
    partials: Array, like: Array, table: Array, weights: Array, start: int, stop: int
) -> None:
    """Add each array's squared distance to the weighted sum of them all, by span.

    Args:
        partials: Squared distances of shape (spans, arrays), zero at first.
        like: Of the dtype of the arrays.
        table: Their addresses.
        weights: Their weights, which add up to one.
        start: First element, a multiple of `parallel.SPAN`.
        stop: Element before which to end.
    """
    mean = np.empty(BLOCK, np.float64)
    addresses = np.empty_like(table)
    for low in range(start, stop, BLOCK):
        n = min(BLOCK, stop - low)
        for k in range(table.size):
            addresses[k] = table[k] + low * like.itemsize
        fold(mean, like, addresses, weights, True, 0, n)
        for k in range(table.size):
            partials[low // SPAN, k] += _squared(view(table[k], low, n, like), mean[:n])
