"""Order statistics of every coordinate, by the fastest way there is for their number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from aeros_aggregators import buffers, device, small, threads
from aeros_aggregators.vectors import addresses
from aeros_core.parameters import Array

__all__ = ["middle", "nearest"]

WIRES = 128
"""Updates up to which a network is compiled: it takes two seconds then, once."""

WORK = 1 << 20
"""Values that numpy sorts in the hundredth part of a second or two."""

ROWS = 2048
"""Coordinates that are sorted at once where no network is compiled."""

Rows = Sequence[Array]


def middle(rows: Rows, cut: int) -> Array:
    """Return the mean of each coordinate's values but the ``cut`` least and greatest.

    Args:
        rows: Arrays of one length and floating-point dtype, finite.
        cut: Values left out at either end, less than half of them.
    """
    if device.there(rows[0]):
        return device.middle(rows, cut)
    return _by_size("middle", rows, cut)


def nearest(rows: Rows, kept: int) -> Array:
    """Return the mean of each coordinate's ``kept`` values that are nearest its median.

    Args:
        rows: Arrays of one length and floating-point dtype, finite.
        kept: How many are averaged, one or more.
    """
    return _by_size("nearest", rows, kept)


def _by_size(name: str, rows: Rows, number: int) -> Array:
    out, in_numpy = buffers.take(rows[0].size, rows[0].dtype), getattr(small, name)
    if out.size < small.SMALL and out.size * len(rows) < WORK:
        in_numpy(out, rows, number)
    elif len(rows) > WIRES:
        threads.spread(_sorted, out.size, in_numpy, out, rows, number)
    else:
        _selected(name, out, rows, number)
    return out


def _sorted(
    in_numpy: Callable[..., None], out: Array, rows: Rows, number: int, start: int, stop: int
) -> None:
    """Sort a few coordinates at a time: numpy's sort is vectorised along contiguous rows."""
    for low in range(start, stop, ROWS):
        high = min(low + ROWS, stop)
        in_numpy(out[low:high], [row[low:high] for row in rows], number)


def _selected(name: str, out: Array, rows: Rows, number: int) -> None:
    """Run the network over whole vectors, and over what is left in an array of its own."""
    from aeros_aggregators.kernels import order as kernels

    kernel, lanes = getattr(kernels, name), kernels.WIDTH // out.itemsize
    whole = out.size - out.size % lanes
    zeros = ((0,) * len(rows), (0,) * number)
    threads.spread(kernel, whole, out, addresses(rows), *zeros)
    rest = np.zeros((len(rows), lanes), out.dtype)
    for k, row in enumerate(rows):
        rest[k, : out.size - whole] = row[whole:]
    last = np.empty(lanes, out.dtype)
    kernel(last, addresses(list(rest)), *zeros, 0, lanes)
    out[whole:] = last[: out.size - whole]
