"""Kernels of one convolution on one image, channels last.

A kernel of ``side`` by ``side`` pixels covers ``side`` runs of ``side * channels`` numbers
that lie one behind the other, so that a convolution multiplies runs of the image with rows
of weights, in place. The gradient to the image is the same convolution of the gradient with
turned weights. Weights are packed into panels of `WIDE` outputs, for each step anew: that
takes a hundredth of it.

Numbers of channels are rounded up to whole vectors; what is added stays zero. Images have a
border of zeros. Distances are counted in numbers, unless they are called bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeros_torch.kernels.gemm_panels import LANES, ROWS, outer, panel
from aeros_torch.kernels.jit import inner

__all__ = ["WIDE", "gradients", "pack", "pack_turned", "slide", "unpack"]

WIDE = 2 * LANES
"""Outputs in a panel; the last of a layer may have half of them."""

_wide, _narrow = panel(ROWS, 2), panel(ROWS, 1)
_outer_wide, _outer_narrow = outer(ROWS, 2), outer(ROWS, 1)

_Floats = NDArray[np.float32]
_Numbers = NDArray[np.int64]


@inner
def slide(
    image: _Floats,
    table: _Numbers,
    packed: _Floats,
    bias: _Floats,
    made: _Floats,
    side: int,
    shape: tuple[int, int, int],
) -> None:
    """Convolve an image.

    Args:
        image: With its border, from its first number on.
        table: Where the pixels under the first corner of the kernel lie, in bytes; whole tiles.
        packed: Weights, as `pack` or `pack_turned` gives them.
        bias: One for each channel that is made.
        made: Filled: (pixels, channels made); as many pixels as ``table`` has.
        side: Pixels in a row of the kernel.
        shape: Numbers in a line of the image, in a pixel of it, in a pixel that is made.
    """
    line, step, width = shape
    run = side * step
    a, c, b = np.int64(image.ctypes.data), np.int64(made.ctypes.data), np.int64(packed.ctypes.data)
    there, start = np.int64(table.ctypes.data), np.int64(bias.ctypes.data)
    for first in range(0, width, WIDE):
        part = min(WIDE, width - first)
        of, init = b + 4 * first * side * run, start + 4 * first
        for k in range(0, len(table), ROWS):
            to, at = c + 4 * (k * width + first), there + 8 * k
            steps = (4 * line, 4, 4 * part * run, 4 * part)
            if part == WIDE:
                _wide(to, 4 * width, init, 0, a, at, of, side, run, *steps)
            else:
                _narrow(to, 4 * width, init, 0, a, at, of, side, run, *steps)


@inner
def gradients(
    image: _Floats,
    down: _Floats,
    gradient: _Floats,
    tables: tuple[_Numbers, _Numbers],
    count: int,
    side: int,
    shape: tuple[int, int, int],
) -> None:
    """Add the gradient to the weights, over one image.

    Args:
        image: With its border, from its first number on.
        down: The gradient to what was made, from its first pixel within its border on.
        gradient: Added to: (side, run rounded up to whole tiles, channels made).
        tables: Where the pixels of ``image`` under the first corner of the kernel lie, and
            those of ``down``, in bytes.
        count: Pixels that were made.
        side: Pixels in a row of the kernel.
        shape: Numbers in a line of the image, in a pixel of it, in a pixel of ``down``.
    """
    a, b = np.int64(image.ctypes.data), np.int64(down.ctypes.data)
    c = np.int64(gradient.ctypes.data)
    there, of = np.int64(tables[0].ctypes.data), np.int64(tables[1].ctypes.data)
    line, step, width = shape
    for first in range(0, width, WIDE):
        to, columns = c + 4 * first, b + 4 * first
        for y in range(side):
            for k in range(0, side * step, ROWS):
                at = a + 4 * (y * line + k)
                if width - first >= WIDE:
                    _outer_wide(to, 4 * width, at, there, columns, of, count)
                else:
                    _outer_narrow(to, 4 * width, at, there, columns, of, count)
                to += 4 * ROWS * width


@inner
def pack(weights: _Floats, packed: _Floats, side: int, shape: tuple[int, int, int, int]) -> None:
    """Pack weights (outputs, inputs, side, side) for `slide`.

    Args:
        weights: As torch keeps them.
        packed: Filled, but for what stays zero: panels of (side, side, inputs, outputs).
        side: Pixels in a row of the kernel.
        shape: Outputs and inputs; both rounded up.
    """
    outputs, inputs, out_room, in_room = shape
    area = side * side
    for out in range(outputs):
        first = out // WIDE * WIDE
        part = min(WIDE, out_room - first)
        base = first * area * in_room + out - first
        for one in range(inputs):
            source = (out * inputs + one) * area
            for k in range(area):
                packed[base + (k * in_room + one) * part] = weights[source + k]


@inner
def pack_turned(
    weights: _Floats, packed: _Floats, side: int, shape: tuple[int, int, int, int]
) -> None:
    """Do as `pack` for the gradient to the image: inputs and outputs trade places."""
    outputs, inputs, out_room, in_room = shape
    area = side * side
    for one in range(inputs):
        first = one // WIDE * WIDE
        part = min(WIDE, in_room - first)
        base = first * area * out_room + one - first
        for out in range(outputs):
            source = (out * inputs + one) * area
            for k in range(area):
                packed[base + ((area - 1 - k) * out_room + out) * part] = weights[source + k]


@inner
def unpack(
    gradient: _Floats, weights: _Floats, side: int, shape: tuple[int, int, int, int]
) -> None:
    """Write what `gradients` added up in the order of torch's weights."""
    outputs, inputs, out_room, in_room = shape
    area, run = side * side, -(-side * in_room // ROWS) * ROWS
    for one in range(inputs):
        for y in range(side):
            for x in range(side):
                source = (y * run + x * in_room + one) * out_room
                to = one * area + y * side + x
                for out in range(outputs):
                    weights[out * inputs * area + to] = gradient[source + out]
