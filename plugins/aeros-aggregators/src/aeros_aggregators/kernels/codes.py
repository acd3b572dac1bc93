"""Numbers in fewer bits: made, read, and added up in one pass over memory.

A dozen updates at a time are added up in float32, whose rounding is far below that of
any code, and their sum is added to float64. A code is int8, to be multiplied by the scale of
its block; int16, the bits of float16; or uint16, the bits of bfloat16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from aeros_aggregators.coding import GROUP
from aeros_aggregators.kernels.compiling import instruction, kernel
from aeros_aggregators.kernels.memory import view
from aeros_core.parameters import Array

__all__ = ["BLOCK", "add", "decode", "fold", "to_brain", "to_half", "to_int8"]

BLOCK = 8192
"""Elements that stay in cache: 64 KB of float64 sums, and half as much of float32."""


HALF, FLOAT, INT, SHORT = ir.HalfType(), ir.FloatType(), ir.IntType(32), ir.IntType(16)


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


def _half(_typing: Any, value: Any) -> Any:
    """Round float32 to the bits of float16."""

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(builder.fptrunc(arguments[0], HALF), SHORT)

    return types.int16(value), build


def _fused(_typing: Any, _a: Any, _b: Any, _c: Any) -> Any:
    """Multiply and add, rounded once: left to the compiler, bits would depend on the place."""

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), build


_fma = instruction(_fused)
_number_of = instruction(_number)
_half_of = instruction(_half)


@kernel
def to_half(out: Array, vector: Array, start: int, stop: int) -> None:
    """Write the bits of float16; what lies beyond its range becomes its greatest number."""
    most = np.float32(65504.0)
    for i in range(start, stop):
        value = vector[i]
        value = most if value > most else value
        value = -most if value < -most else value
        out[i] = _half_of(value)


@kernel
def to_brain(out: Array, bits: Array, start: int, stop: int) -> None:
    """Write the bits of bfloat16, rounded to the nearest even, given those of float32."""
    for i in range(start, stop):
        value = bits[i]
        rounded = (value + np.uint32(0x7FFF) + (value >> np.uint32(16) & np.uint32(1))) >> 16
        nan = value & np.uint32(0x7FFFFFFF) > np.uint32(0x7F800000)
        out[i] = np.uint16(0x7FC0) if nan else np.uint16(rounded)


@kernel
def _greatest(bits: Array) -> int:
    """Return the bits of the greatest magnitude; NaN counts for more than infinity."""
    most = np.uint32(0)
    for i in range(bits.size):
        magnitude = bits[i] & np.uint32(0x7FFFFFFF)
        most = max(most, magnitude)
    return int(most)


@kernel
def _round(out: Array, vector: Array, factor: Any) -> None:
    for i in range(out.size):
        out[i] = np.int8(np.rint(vector[i] * factor))


@kernel
def to_int8(
    out: Array, scales: Array, vector: Array, bits: Array, block: int, start: int, stop: int
) -> None:
    """Write whole numbers of steps, and each block's step; see `small.to_int8`.

    Args:
        out: int8, as long as ``vector``.
        scales: The steps, float32.
        vector: float32.
        bits: The same memory as uint32.
        block: Elements in a block.
        start: First element, a multiple of ``block``.
        stop: Element before which to end.
    """
    most = np.empty(1, np.uint32)
    for low in range(start, stop, block):
        high = min(low + block, stop)
        most[0] = _greatest(bits[low:high])
        greatest = most.view(np.float32)[0]
        good = np.float32(1e-30) <= greatest < np.float32(np.inf)
        factor = np.float32(127.0) / greatest if good else np.float32(0.0)
        scales[low // block] = greatest / np.float32(127.0)
        if good:
            _round(out[low:high], vector[low:high], factor)
        else:
            for i in range(low, high):
                out[i] = 0


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
def _mix_four(
    part: Array,
    a: Array,
    b: Array,
    c: Array,
    d: Array,
    wa: Any,
    wb: Any,
    wc: Any,
    wd: Any,
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
def _widen(sums: Array, part: Array, weight: float) -> None:
    for i in range(sums.size):
        sums[i] += weight * part[i]
        part[i] = 0.0


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
) -> None:
    """Add ``count`` updates, one, two or four, from ``k`` on, and of each from ``low`` on.

    Their weights are multiplied by ``share``; ``index`` is that of their scales.
    """
    n = part.size
    first = _factor(share * weights[k], scales[k], index, part)
    if count == 1:
        _mix_one(part, view(table[k], low, n, like), first)
        return
    second = _factor(share * weights[k + 1], scales[k + 1], index, part)
    if count == 2:
        a, b = view(table[k], low, n, like), view(table[k + 1], low, n, like)
        _mix_two(part, a, b, first, second)
        return
    _mix_four(
        part,
        view(table[k], low, n, like),
        view(table[k + 1], low, n, like),
        view(table[k + 2], low, n, like),
        view(table[k + 3], low, n, like),
        first,
        second,
        _factor(share * weights[k + 2], scales[k + 2], index, part),
        _factor(share * weights[k + 3], scales[k + 3], index, part),
    )


@kernel
def _heaviest(weights: Array, first: int, last: int) -> float:
    """Return the greatest magnitude among weights, by which they get float32's range."""
    most = 0.0
    for k in range(first, last):
        most = max(most, abs(weights[k]))
    return most if most > 0.0 else 1.0


@kernel
def add(
    sums: Array, like: Array, table: Array, scales: Array, weights: Array, block: int, low: int
) -> None:
    """Add to ``sums`` the elements from ``low`` on of every update, times its weight.

    Args:
        sums: float64.
        like: Of the dtype of the codes.
        table: Addresses of the codes.
        scales: Addresses of each update's scales; 0 where it has none.
        weights: Weights of the updates.
        block: Elements that share a scale.
        low: First element, a multiple of ``block`` or within one of them to the end.
    """
    step, part = min(block, sums.size), np.zeros(sums.size, np.float32)
    for first in range(0, table.size, GROUP):
        last = min(first + GROUP, table.size)
        weight = _heaviest(weights, first, last)
        k = first
        while k < last:  # memory is read fastest in long stretches of few updates
            count = 4 if last - k >= 4 else min(2, last - k)
            for begin in range(0, sums.size, step):
                piece = part[begin : min(begin + step, sums.size)]
                here = low + begin
                place = here // block
                _mix(piece, like, table, scales, weights, 1.0 / weight, k, count, place, here)
            k += count
        _widen(sums, part, weight)


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
        if fresh:
            for i in range(part.size):
                part[i] = 0.0
        add(part, like, table, scales, weights, block, low)
