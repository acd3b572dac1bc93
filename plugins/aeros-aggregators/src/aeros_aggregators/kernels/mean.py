"""Weighted sums over vectors, and what becomes of them.

One element costs no more memory traffic than reading each vector once: a block of sums
stays in cache while every vector of the group is added to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from aeros_aggregators.arrays.encoded_vectors import GROUP
from aeros_aggregators.kernels import codes
from aeros_aggregators.kernels.arguments import Sum
from aeros_aggregators.kernels.jit import chosen, kernel
from aeros_aggregators.kernels.memory import view
from aeros_core.arrays import Array

__all__ = ["BLOCK", "fold", "gather", "mean"]

CODES = (types.int8, types.int16, types.uint16)

BLOCK, OF_CODES = 8192, 16384
"""Elements that stay in cache: 64 KB of float64 sums; of each vector a stretch this long is
read at once, which has to be longer for codes of one or two bytes."""


@kernel
def _set_four(
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
        sums[i] = wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i]


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
def _add_two(sums: Array, a: Array, b: Array, wa: float, wb: float) -> None:
    for i in range(sums.size):
        sums[i] = sums[i] + wa * a[i] + wb * b[i]


@kernel
def _add_one(sums: Array, a: Array, weight: float) -> None:
    for i in range(sums.size):
        sums[i] = sums[i] + weight * a[i]


@kernel
def _zero(block: Array) -> None:
    # loops, because numba takes seconds to compile an assignment of slices
    for i in range(block.size):
        block[i] = 0.0


@kernel
def _add(block: Array, like: Array, table: Array, weights: Array, fresh: bool, low: int) -> None:
    """Add to ``block`` the elements from ``low`` on of every array; ``fresh``: it holds junk."""
    n, fours = block.size, table.size // 4 * 4
    if fresh and fours == 0:
        _zero(block)
    for k in range(0, fours, 4):
        wa, wb, wc, wd = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        a, b = view(table[k], low, n, like), view(table[k + 1], low, n, like)
        c, d = view(table[k + 2], low, n, like), view(table[k + 3], low, n, like)
        if fresh and k == 0:
            _set_four(block, a, b, c, d, wa, wb, wc, wd)
        else:
            _add_four(block, a, b, c, d, wa, wb, wc, wd)
    twos = table.size // 2 * 2
    for k in range(fours, twos, 2):
        a, b = view(table[k], low, n, like), view(table[k + 1], low, n, like)
        _add_two(block, a, b, weights[k], weights[k + 1])
    for k in range(twos, table.size):
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
        _add(sums[low : min(low + BLOCK, stop)], like, table, weights, fresh, low)


def _add_last(block: Array, like: Array, sums: Sum, low: int) -> None:
    """Add what is not in the total yet, vectors or codes as ``like`` says."""
    raise NotImplementedError


@chosen(_add_last)  # type: ignore[untyped-decorator]
def _for_last(block: Any, like: Any, sums: Any, low: Any) -> Any:  # noqa: ARG001 - numba's names
    def of_vectors(block: Array, like: Array, sums: Sum, low: int) -> None:
        _add(block, like, sums.table, sums.weights, sums.fresh, low)

    def of_codes(block: Array, like: Array, sums: Sum, low: int) -> None:
        table, scales, weights = sums.table, sums.scales, sums.weights
        codes.add(block, like, table, scales, weights, sums.block, sums.fresh, low)

    return of_codes if like.dtype in CODES else of_vectors


@kernel
def gather(block: Array, sums: Sum, low: int) -> None:
    """Write the whole sum, from element ``low`` on, to a block of float64."""
    if not sums.fresh:
        total = sums.total[low : low + block.size]
        for i in range(block.size):
            block[i] = total[i]
    _add_last(block, sums.like, sums, low)


@kernel
def _finish(out: Array, total: Array, times: float, base: int, low: int, sums: Sum) -> None:
    before, weight, kept = view(base, low, out.size, out), sums.weight, 1.0 - sums.share
    if kept == 0.0:
        for i in range(out.size):
            out[i] = times * total[i] / weight
    else:
        for i in range(out.size):
            out[i] = times * total[i] / weight + kept * before[i]


@kernel
def _gathered(out: Array, sums: Sum, low: int) -> None:
    total = np.empty(out.size, np.float64)
    gather(total, sums, low)
    _finish(out, total, 1.0, sums.base, low, sums)


def _write(out: Array, like: Array, sums: Sum, low: int) -> None:
    """Write the mean from element ``low`` on."""
    raise NotImplementedError


@chosen(_write)  # type: ignore[untyped-decorator]
def _for_write(out: Any, like: Any, sums: Any, low: Any) -> Any:  # noqa: ARG001 - numba's names
    def of_vectors(out: Array, like: Array, sums: Sum, low: int) -> None:  # noqa: ARG001
        _gathered(out, sums, low)

    def of_codes(out: Array, like: Array, sums: Sum, low: int) -> None:
        count = sums.table.size
        if sums.fresh and 0 < count <= GROUP:  # their sum needs no float64
            part, block = np.empty(out.size, np.float32), sums.block
            table, scales, weights = sums.table, sums.scales, sums.weights
            times = codes.mix(part, like, table, scales, weights, block, 0, count, low)
            _finish(out, part, times, sums.base, low, sums)
        else:
            _gathered(out, sums, low)

    return of_codes if like.dtype in CODES else of_vectors


@kernel
def mean(out: Array, sums: Sum, start: int, stop: int) -> None:
    """Write the mean to ``out``, differences added to the base they were taken from."""
    step = BLOCK if sums.like.itemsize > 2 else OF_CODES
    for low in range(start, stop, step):
        _write(out[low : min(low + step, stop)], sums.like, sums, low)
