"""Numbers rounded to fewer bits; `kernels.codes` reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from aeros_aggregators.kernels.jit import instruction, kernel
from aeros_core.arrays import Array

__all__ = ["to_brain", "to_half", "to_int8"]


def _half(_typing: Any, value: Any) -> Any:
    """Round float32 to the bits of float16."""

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(builder.fptrunc(arguments[0], ir.HalfType()), ir.IntType(16))

    return types.int16(value), build


_half_of = instruction(_half)


@kernel
def to_half(out: Array, vector: Array, start: int, stop: int) -> None:
    """Write the bits of float16; finite values beyond its range become its greatest number."""
    most, infinite = np.float32(65504.0), np.float32(np.inf)
    for i in range(start, stop):
        value = vector[i]
        held = most if value > most else value
        held = -most if held < -most else held
        out[i] = _half_of(value if abs(value) == infinite else held)


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
    """Write whole numbers of steps, and each block's step; see `numpy_kernels.to_int8`.

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
