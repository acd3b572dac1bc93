"""Comparator networks that sort, or only select, a fixed number of values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Comparator", "select", "sort"]


class Comparator(NamedTuple):
    """Puts the lesser of two wires' values on ``low`` and the greater on ``high``.

    Args:
        low: Number of the one wire.
        high: Number of the other wire, which is higher.
        keeps_low: Whether anybody asks for the lesser value.
        keeps_high: Whether anybody asks for the greater value.
    """

    low: int
    high: int
    keeps_low: bool = True
    keeps_high: bool = True


def sort(size: int) -> Iterator[Comparator]:
    """Yield Batcher's odd-even merge sort (1968) of ``size`` wires.

    One half is sorted to its end before the other is begun: that keeps wires in registers
    and makes the code for 50 wires twice as fast as layer after layer.
    """
    whole = 1 << (size - 1).bit_length()  # wires that do not exist would hold infinity
    return (comparator for comparator in _sort(0, whole) if comparator.high < size)


def _sort(first: int, count: int) -> Iterator[Comparator]:
    if count > 1:
        yield from _sort(first, count // 2)
        yield from _sort(first + count // 2, count // 2)
        yield from _merge(first, count, 1)


def _merge(first: int, count: int, step: int) -> Iterator[Comparator]:
    """Merge both halves of ``count`` wires, of which every ``step``-th takes part."""
    if 2 * step >= count:
        yield Comparator(first, first + step)
        return
    yield from _merge(first, count, 2 * step)
    yield from _merge(first + step, count, 2 * step)
    for low in range(first + step, first + count - step, 2 * step):
        yield Comparator(low, low + step)


def select(size: int, start: int, stop: int) -> list[Comparator]:
    """Return the part of the sorting network that brings some ranks together.

    The wires from ``start`` to ``stop`` end up with the values of these ranks, in whatever
    order. Going backwards, wires with the same mark are those that nobody downstream
    tells apart, and a comparator between two of them is left out.
    """
    below, within, above = -1, 0, -2
    marks = [below] * start + [within] * (stop - start) + [above] * (size - stop)
    kept: list[Comparator] = []
    for low, high, _, _ in reversed(list(sort(size))):
        if marks[low] != marks[high]:
            kept.append(Comparator(low, high, marks[low] >= within, marks[high] >= within))
            marks[low] = marks[high] = len(kept)
    return kept[::-1]
