"""Kernels of max pooling by 2 by 2, channels last, and of the activation before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeros_torch.kernels.jit import inner

__all__ = ["pool", "regain", "spread"]

_Floats = NDArray[np.float32]
_Winners = NDArray[np.int32]


@inner
def pool(keys: _Floats, size: tuple[int, int, int], made: _Floats, winners: _Winners) -> None:
    """Take the highest of each square; of equal ones the first.

    Squares at the border may be cut; NaN is the highest of all, as in torch.

    Args:
        keys: What is compared (pixels, channels).
        size: Height, width, channels.
        made: Filled: (squares, channels).
        winners: Filled: number of the pixel within its square.
    """
    height, width, channels = size
    place = 0
    for top in range(0, height, 2):
        for left in range(0, width, 2):
            one = (top * width + left) * channels
            two = one + channels if left + 1 < width else one
            down = width * channels if top + 1 < height else 0
            part = slice(place, place + channels)
            _take(keys, one, two, down, made[part], winners[part])
            place += channels


@inner
def _take(
    keys: _Floats,
    one: int,
    two: int,
    down: int,
    made: _Floats,
    winners: _Winners,
) -> None:
    """Take one square, whose pixels are ``one``, ``two`` and those ``down`` from them."""
    channels = len(made)
    a, b = keys[one : one + channels], keys[two : two + channels]
    c, d = keys[one + down :][:channels], keys[two + down :][:channels]
    for k in range(channels):
        best, which = a[k], np.int32(0)
        wins = (b[k] > best) | (b[k] != b[k])
        best, which = b[k] if wins else best, np.int32(1) if wins else which
        wins = (c[k] > best) | (c[k] != c[k])
        best, which = c[k] if wins else best, np.int32(2) if wins else which
        wins = (d[k] > best) | (d[k] != d[k])
        made[k], winners[k] = d[k] if wins else best, np.int32(3) if wins else which


@inner
def regain(given: _Floats, size: tuple[int, int, int], made: _Floats, winners: _Winners) -> None:
    """Write to ``made`` what is ``given`` at the winners, for keys that are something else."""
    height, width, channels = size
    place = 0
    for top in range(0, height, 2):
        for left in range(0, width, 2):
            for k in range(place, place + channels):
                y, x = divmod(winners[k], 2)
                made[k] = given[((top + y) * width + left + x) * channels + k - place]
            place += channels


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
