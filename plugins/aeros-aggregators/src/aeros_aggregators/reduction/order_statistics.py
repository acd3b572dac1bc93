"""Order statistics of every coordinate, by the fastest way there is for their number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from aeros_aggregators.arrays import buffer_pool, on_device, parallel
from aeros_aggregators.arrays.host import addresses
from aeros_aggregators.kernels import numpy_kernels
from aeros_core.arrays import Array

__all__ = ["nearest", "trimmed_mean"]

WIRES = 128
"""Updates up to which a network is compiled: it takes two seconds then, once."""

WORK = 1 << 20
"""Values that numpy sorts in the hundredth part of a second or two."""

ROWS = 2048
"""Coordinates that are sorted at once where no network is compiled."""

Rows = Sequence[Array]


def trimmed_mean(rows: Rows, cut: int) -> Array:
    """Return the mean of each coordinate's values but the ``cut`` least and greatest.

    Args:
        rows: Arrays of one length and floating-point dtype, finite.
        cut: Values left out at either end, less than half of them.
    """
    if on_device.there(rows[0]):
        return on_device.trimmed_mean(rows, cut)
    return _by_size("trimmed_mean", rows, cut)


def nearest(rows: Rows, kept: int) -> Array:
    """Return the mean of each coordinate's ``kept`` values that are nearest its median.

    Args:
        rows: Arrays of one length and floating-point dtype, finite.
        kept: How many are averaged, one or more.
    """
    return _by_size("nearest", rows, kept)


def _by_size(name: str, rows: Rows, number: int) -> Array:
    out, in_numpy = buffer_pool.take(rows[0].size, rows[0].dtype), getattr(numpy_kernels, name)
    if out.size < numpy_kernels.SMALL and out.size * len(rows) < WORK:
        in_numpy(out, rows, number)
    elif len(rows) > WIRES:
        parallel.spread(_sorted, out.size, in_numpy, out, rows, number)
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
    from aeros_aggregators.kernels import order_statistics as kernels

    kernel, lanes = getattr(kernels, name), kernels.WIDTH // out.itemsize
    whole = out.size - out.size % lanes
    zeros = ((0,) * len(rows), (0,) * number)
    parallel.spread(kernel, whole, out, addresses(rows), *zeros)
    rest = np.zeros((len(rows), lanes), out.dtype)
    for k, row in enumerate(rows):
        rest[k, : out.size - whole] = row[whole:]
    last = np.empty(lanes, out.dtype)
    kernel(last, addresses(list(rest)), *zeros, 0, lanes)
    out[whole:] = last[: out.size - whole]
