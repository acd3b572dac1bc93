"""Numbers in fewer bits: read, and added up in one pass over memory.

A dozen updates at a time are added up in float32, whose rounding is far below that of
any code, and their sum is added to float64. A code is int8, to be multiplied by the scale of
its block; int16, the bits of float16; or uint16, the bits of bfloat16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from aeros_aggregators.arrays.encoded_vectors import GROUP
from aeros_aggregators.kernels.jit import instruction, kernel
from aeros_aggregators.kernels.memory import view
from aeros_core.arrays import Array

__all__ = ["BLOCK", "add", "decode", "fold", "mix"]

BLOCK = 8192
"""Elements that stay in cache: 64 KB of float64 sums, and half as much of float32."""


HALF, FLOAT, INT = ir.HalfType(), ir.FloatType(), ir.IntType(32)


def _number(_typing: Any, code: Any) -> Any:
    """Read one code as float32."""

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        (value,) = arguments
        if code == types.int8:
            return builder.sitofp(value, FLOAT)
        if code == types.int16:
            return builder.fpext(builder.bitcast(value, HALF), FLOAT)
        wide = builder.shl(builder.zext(value, INT), ir.Constant(INT, 16))
        return builder.bitcast(wide, FLOAT)

    return types.float32(code), build


def _fused(_typing: Any, _a: Any, _b: Any, _c: Any) -> Any:
    """Multiply and add, rounded once: left to the compiler, bits would depend on the place."""

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), build


_fma = instruction(_fused)
_number_of = instruction(_number)


@kernel
def _scaled(out: Array, values: Array, scale: Any) -> None:
    for i in range(out.size):
        out[i] = _number_of(values[i]) * scale


@kernel
def decode(out: Array, values: Array, scales: Array, block: int, start: int, stop: int) -> None:
    """Write a vector of codes as float32, ``scales[i // block]`` times each."""
    step = min(block, BLOCK)
    for low in range(start, stop, step):
        high = min(low + step, stop)
        _scaled(out[low:high], values[low:high], scales[low // block])


@kernel
def _set_four(
    part: Array, a: Array, b: Array, c: Array, d: Array, wa: Any, wb: Any, wc: Any, wd: Any
) -> None:
    for i in range(part.size):
        abc = _fma(wa, _number_of(a[i]), _fma(wb, _number_of(b[i]), wc * _number_of(c[i])))
        part[i] = _fma(wd, _number_of(d[i]), abc)


@kernel
def _mix_four(
    part: Array, a: Array, b: Array, c: Array, d: Array, wa: Any, wb: Any, wc: Any, wd: Any
) -> None:
    for i in range(part.size):
        abc = _fma(wa, _number_of(a[i]), _fma(wb, _number_of(b[i]), wc * _number_of(c[i])))
        part[i] += _fma(wd, _number_of(d[i]), abc)


@kernel
def _mix_two(part: Array, a: Array, b: Array, wa: Any, wb: Any) -> None:
    for i in range(part.size):
        part[i] = _fma(wa, _number_of(a[i]), _fma(wb, _number_of(b[i]), part[i]))


@kernel
def _mix_one(part: Array, a: Array, wa: Any) -> None:
    for i in range(part.size):
        part[i] = _fma(wa, _number_of(a[i]), part[i])


@kernel
def _widen(sums: Array, part: Array, weight: float, fresh: bool) -> None:
    if fresh:
        for i in range(sums.size):
            sums[i] = weight * part[i]
    else:
        for i in range(sums.size):
            sums[i] += weight * part[i]


@kernel
def _factor(weight: float, scales: int, index: int, like: Array) -> Any:
    """Return a weight as float32, times the scale at ``index`` if there are any."""
    scale = view(scales, index, 1, like)[0] if scales else np.float32(1.0)
    return np.float32(weight) * scale


@kernel
def _mix(
    part: Array,
    like: Array,
    table: Array,
    scales: Array,
    weights: Array,
    share: float,
    k: int,
    count: int,
    index: int,
    low: int,
    fresh: bool,
) -> None:
    """Add ``count`` updates, one, two or four, from ``k`` on, and of each from ``low`` on.

    Their weights are multiplied by ``share``; ``index`` is that of their scales; ``fresh``:
    what ``part`` holds is junk.
    """
    n = part.size
    first = _factor(share * weights[k], scales[k], index, part)
    if fresh and count < 4:
        for i in range(n):
            part[i] = 0.0
    if count == 1:
        _mix_one(part, view(table[k], low, n, like), first)
        return
    second = _factor(share * weights[k + 1], scales[k + 1], index, part)
    a, b = view(table[k], low, n, like), view(table[k + 1], low, n, like)
    if count == 2:
        _mix_two(part, a, b, first, second)
        return
    c, d = view(table[k + 2], low, n, like), view(table[k + 3], low, n, like)
    third = _factor(share * weights[k + 2], scales[k + 2], index, part)
    fourth = _factor(share * weights[k + 3], scales[k + 3], index, part)
    if fresh:
        _set_four(part, a, b, c, d, first, second, third, fourth)
    else:
        _mix_four(part, a, b, c, d, first, second, third, fourth)


@kernel
def _heaviest(weights: Array, first: int, last: int) -> float:
    """Return the greatest magnitude among weights, by which they get float32's range."""
    most = 0.0
    for k in range(first, last):
        most = max(most, abs(weights[k]))
    return most if most > 0.0 else 1.0


@kernel
def mix(
    part: Array,
    like: Array,
    table: Array,
    scales: Array,
    weights: Array,
    block: int,
    first: int,
    last: int,
    low: int,
) -> float:
    """Write to float32 ``part`` the sum of one group of updates, `GROUP` of them at most.

    Args:
        part: What to write to.
        like: Of the dtype of the codes.
        table: Addresses of the codes.
        scales: Addresses of each update's scales; 0 where it has none.
        weights: Weights of the updates.
        block: Elements that share a scale.
        first: The group's first update.
        last: Update before which it ends.
        low: First element, a multiple of ``block`` or within one of them to the end.

    Returns:
        What the sum is to be multiplied by.
    """
    step, weight, k = min(block, part.size), _heaviest(weights, first, last), first
    while k < last:  # memory is read fastest in long stretches of few updates
        count = 4 if last - k >= 4 else min(2, last - k)
        for begin in range(0, part.size, step):
            piece, here = part[begin : min(begin + step, part.size)], low + begin
            place, new, share = here // block, k == first, 1.0 / weight
            _mix(piece, like, table, scales, weights, share, k, count, place, here, new)
        k += count
    return weight


@kernel
def add(
    sums: Array,
    like: Array,
    table: Array,
    scales: Array,
    weights: Array,
    block: int,
    fresh: bool,
    low: int,
) -> None:
    """Add to float64 ``sums`` the elements from ``low`` on of every update; see `mix`.

    ``fresh``: what ``sums`` holds is junk.
    """
    if fresh and table.size == 0:
        for i in range(sums.size):
            sums[i] = 0.0
    part = np.empty(sums.size, np.float32)
    for first in range(0, table.size, GROUP):
        last = min(first + GROUP, table.size)
        weight = mix(part, like, table, scales, weights, block, first, last, low)
        _widen(sums, part, weight, fresh and first == 0)


@kernel
def fold(
    sums: Array,
    like: Array,
    table: Array,
    scales: Array,
    weights: Array,
    block: int,
    fresh: bool,
    start: int,
    stop: int,
) -> None:
    """Add every update, times its weight, to float64 ``sums``; ``fresh``: they hold junk."""
    for low in range(start, stop, BLOCK):
        part = sums[low : min(low + BLOCK, stop)]
        add(part, like, table, scales, weights, block, fresh, low)
