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
    """Yield Batcher's odd-even merge sort of ``size`` wires (1968; Knuth, TAOCP 5.2.2 M)."""
    run = 1
    while run < size:
        step = run
        while step >= 1:
            yield from _merge(size, run, step)
            step //= 2
        run *= 2


def _merge(size: int, run: int, step: int) -> Iterator[Comparator]:
    for first in range(step % run, size - step, 2 * step):
        for low in range(first, first + min(step, size - first - step)):
            if low // (2 * run) == (low + step) // (2 * run):
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
