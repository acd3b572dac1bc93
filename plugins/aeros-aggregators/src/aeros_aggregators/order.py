"""Order statistics of every coordinate, by the fastest way there is for their number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aeros_aggregators import small, threads
from aeros_core.parameters import Array

__all__ = ["middle"]

WIRES = 128
"""Updates up to which a network is compiled: it takes two seconds then, once."""

ROWS = 2048
"""Coordinates that are sorted at once where no network is compiled."""

Rows = Sequence[Array]


def middle(rows: Rows, cut: int) -> Array:
    """Return the mean of each coordinate's values but the ``cut`` least and greatest.

    Args:
        rows: Arrays of one length and floating-point dtype, finite.
        cut: Values left out at either end, less than half of them.
    """
    out = np.empty_like(rows[0])
    if out.size < small.SMALL:
        small.middle(out, rows, cut)
    elif len(rows) > WIRES:
        threads.spread(_sorted, out.size, out, rows, cut)
    else:
        _selected(out, rows, cut)
    return out


def _sorted(out: Array, rows: Rows, cut: int, start: int, stop: int) -> None:
    """Sort a few coordinates at a time: numpy's sort is vectorised along contiguous rows."""
    for low in range(start, stop, ROWS):
        high = min(low + ROWS, stop)
        small.middle(out[low:high], [row[low:high] for row in rows], cut)


def _selected(out: Array, rows: Rows, cut: int) -> None:
    """Run the network over whole vectors, and over what is left in an array of its own."""
    from aeros_aggregators.kernels import order as kernels

    lanes = kernels.WIDTH // out.itemsize
    whole = out.size - out.size % lanes
    kernels_arguments = ((0,) * len(rows), (0,) * cut)
    threads.spread(kernels.middle, whole, out, _table(rows), *kernels_arguments)
    rest = np.zeros((len(rows), lanes), out.dtype)
    for k, row in enumerate(rows):
        rest[k, : out.size - whole] = row[whole:]
    last = np.empty(lanes, out.dtype)
    kernels.middle(last, _table(list(rest)), *kernels_arguments, 0, lanes)
    out[whole:] = last[: out.size - whole]


def _table(rows: Rows) -> Array:
    return np.array([row.ctypes.data for row in rows], np.int64)
