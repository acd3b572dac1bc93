"""Vectors that are zero but for some elements: added up, and picked out."""

from __future__ import annotations

import numpy as np

from aeros_aggregators.kernels.jit import kernel
from aeros_aggregators.kernels.memory import view
from aeros_core.arrays import Array

__all__ = ["BLOCK", "count", "draw", "gather", "pick", "scatter"]


BLOCK = 8192
"""Elements of the total that stay in cache while every vector's entries are added to them."""


@kernel
def _first(places: Array, least: int) -> int:
    """Return the number of the first of rising ``places`` that is ``least`` or more."""
    low, high = 0, places.size
    while low < high:
        middle = (low + high) // 2
        if places[middle] < least:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def scatter(
    total: Array,
    like: tuple[Array, Array],
    table: Array,
    weights: Array,
    fresh: bool,
    start: int,
    stop: int,
) -> None:
    """Add entries, times the weight of their vector, to float64 ``total``.

    Args:
        total: What to add to.
        like: Of the dtypes of places and values.
        table: Of each vector the address of its places, rising, none twice, within
            ``total``; that of its values, float32; and their number: shape (vectors, 3).
        weights: Times what.
        fresh: Whether what ``total`` holds is junk.
        start: First element of ``total`` to work on.
        stop: Element before which to end.
    """
    index, number = like
    following = np.empty(table.shape[0], np.int64)
    for k in range(table.shape[0]):
        following[k] = _first(view(table[k, 0], 0, table[k, 2], index), start)
    for low in range(start, stop, BLOCK):
        high = min(low + BLOCK, stop)
        if fresh:
            for i in range(low, high):
                total[i] = 0.0
        for k in range(table.shape[0]):
            places = view(table[k, 0], 0, table[k, 2], index)
            values = view(table[k, 1], 0, table[k, 2], number)
            i, weight = following[k], weights[k]
            while i < places.size and places[i] < high:
                total[places[i]] += weight * values[i]
                i += 1
            following[k] = i


@kernel
def count(counts: Array, bits: Array) -> None:
    """Count float32 numbers, given their bits, by the upper half of their magnitude."""
    for i in range(bits.size):
        counts[(bits[i] & np.uint32(0x7FFFFFFF)) >> 16] += 1


@kernel
def gather(found: Array, bits: Array, upper: int) -> None:
    """Write the magnitudes' bits whose upper half is ``upper``, in order, to ``found``."""
    there = 0
    for i in range(bits.size):
        magnitude = bits[i] & np.uint32(0x7FFFFFFF)
        if magnitude >> 16 == upper:
            found[there] = magnitude
            there += 1


@kernel
def pick(places: Array, bits: Array, least: int, ties: int) -> None:
    """Write the places of magnitudes above ``least``, and of the first ``ties`` equal to it."""
    there = 0
    for i in range(bits.size):
        magnitude = bits[i] & np.uint32(0x7FFFFFFF)
        if magnitude < least:
            continue
        if magnitude == least:
            if ties == 0:
                continue
            ties -= 1
        places[there] = i
        there += 1


@kernel
def draw(
    places: Array, lengths: Array, seed: Array, size: int, stretch: int, start: int, stop: int
) -> None:
    """Draw a place of each stretch from ``start`` to ``stop``; see `sparse.RandomK`.

    Args:
        places: Where to write the place, int64.
        lengths: Where to write the length of the stretch, float32.
        seed: One uint64.
        size: Elements in all.
        stretch: Elements of every stretch but the last.
        start: First stretch.
        stop: Stretch before which to end.
    """
    for k in range(start, stop):
        z = seed[0] + np.uint64(k + 1) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        length = min(stretch, size - k * stretch)
        places[k] = k * stretch + np.int64(
            (z >> np.uint64(32)) * np.uint64(length) >> np.uint64(32)
        )
        lengths[k] = length
