"""Kernels of max pooling by 2 by 2, channels last, and of the activation before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeros_torch.compiling import inner

__all__ = ["pool", "spread"]

_Floats = NDArray[np.float32]
_Winners = NDArray[np.int32]


@inner
def pool(
    keys: _Floats,
    given: _Floats,
    size: tuple[int, int, int],
    made: _Floats,
    winners: _Winners,
) -> None:
    """Take from each square what its highest key stands for; of equal ones the first.

    Squares at the border may be cut; NaN is the highest of all, as in torch.

    Args:
        keys: What is compared (pixels, channels).
        given: What is taken (pixels, channels).
        size: Height, width, channels.
        made: Filled: (squares, channels).
        winners: Filled: number of the pixel within its square.
    """
    height, width, channels = size
    best = np.empty(channels, np.float32)
    place = 0
    for top in range(0, height, 2):
        for left in range(0, width, 2):
            taken, which = made[place : place + channels], winners[place : place + channels]
            first = (top * width + left) * channels
            for c in range(channels):
                best[c], taken[c], which[c] = keys[first + c], given[first + c], 0
            for number in range(1, 4):
                y, x = top + number // 2, left + number % 2
                if y < height and x < width:
                    first = (y * width + x) * channels
                    end = first + channels
                    _outdo(keys[first:end], given[first:end], best, taken, which, number)
            place += channels


@inner
def _outdo(
    keys: _Floats, given: _Floats, best: _Floats, taken: _Floats, which: _Winners, number: int
) -> None:
    one = np.int32(number)
    for c in range(len(keys)):
        wins = not keys[c] <= best[c]
        best[c] = keys[c] if wins else best[c]
        taken[c] = given[c] if wins else taken[c]
        which[c] = one if wins else which[c]


@inner
def spread(
    back: _Floats,
    slopes: _Floats,
    winners: _Winners,
    size: tuple[int, int, int],
    down: _Floats,
    line: int,
    bias: _Floats,
) -> None:
    """Carry a gradient back to the pixels it came from, and add it up for the bias.

    Args:
        back: Gradient to what was made of each square (squares, channels).
        slopes: Of the activation there.
        winners: As `pool` gave them.
        size: Height, width, channels.
        down: Filled, each pixel within its border.
        line: Numbers in a line of ``down``.
        bias: Added to: the gradient of each channel.
    """
    height, width, channels = size
    place = 0
    for top in range(0, height, 2):
        for left in range(0, width, 2):
            end = place + channels
            some, slope, which = back[place:end], slopes[place:end], winners[place:end]
            for c in range(channels):
                some[c] *= slope[c]
                bias[c] += some[c]
            for number in range(4):
                y, x = top + number // 2, left + number % 2
                if y < height and x < width:
                    first = y * line + x * channels
                    _place(some, which, down[first : first + channels], number)
            place = end


@inner
def _place(some: _Floats, which: _Winners, to: _Floats, number: int) -> None:
    one, zero = np.int32(number), np.float32(0)
    for c in range(len(some)):
        to[c] = some[c] if which[c] == one else zero
