"""Order statistics of every coordinate: comparator networks on explicit LLVM vectors.

K loads, a network of compare-and-select, one store: for a dozen updates the time is
that of reading them. LLVM's vectoriser does not find this from loops, so the network is
emitted as instructions on vectors of 32 bytes. Numbers that decide the instructions
come as the length of a tuple of zeros, because numba compiles for types, not values.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from llvmlite import ir
from numba import types

from aeros_aggregators.kernels import sorting_network
from aeros_aggregators.kernels.jit import instruction, kernel
from aeros_core.arrays import Array

__all__ = ["WIDTH", "nearest", "trimmed_mean"]

WIDTH = 32
"""Bytes in a vector: one register of AVX2."""

WORD, DOUBLE = ir.IntType(64), ir.DoubleType()

Locate = Callable[[int], Any]
"""Returns the address of the vector on a wire."""


class _Vectors:
    """Emits loads, comparisons and stores of one vector of every update.

    Args:
        builder: Where the instructions go.
        element: LLVM's type of one element.
        bits: Its width.
    """

    def __init__(self, builder: Any, element: Any, bits: int) -> None:
        self._builder, self._lanes, self._itemsize = builder, WIDTH * 8 // bits, bits // 8
        self._type = ir.VectorType(element, self._lanes)

    def ordered(
        self, locate: Locate, size: int, comparators: Iterable[sorting_network.Comparator]
    ) -> list[Any]:
        """Return a vector of each of ``size`` arrays, as a network puts them.

        Each is loaded from where ``locate`` says when the network comes to it.
        """
        values: list[Any] = [None] * size
        for low, high, keeps_low, keeps_high in comparators:
            for wire in (low, high):
                values[wire] = values[wire] or self._load(locate(wire))
            a, b = values[low], values[high]
            less = self._builder.fcmp_ordered("<", a, b)
            if keeps_low:
                values[low] = self._builder.select(less, a, b)
            if keeps_high:
                values[high] = self._builder.select(less, b, a)
        return [value or self._load(locate(wire)) for wire, value in enumerate(values)]

    def _load(self, address: Any) -> Any:
        pointer = self._builder.inttoptr(address, self._type.as_pointer())
        return self._builder.load(pointer, align=self._itemsize)

    def mean(self, values: list[Any]) -> Any:
        """Return the mean, added up in float64."""
        if len(values) == 1:
            return values[0]
        wide = ir.VectorType(DOUBLE, self._lanes)
        total = self._widen(values[0], wide)
        for value in values[1:]:
            total = self._builder.fadd(total, self._widen(value, wide))
        result = self._builder.fdiv(total, ir.Constant(wide, [float(len(values))] * self._lanes))
        return self._narrow(result)

    def nearest(self, ordered: list[Any], kept: int) -> Any:
        """Return the mean of the ``kept`` values nearest the median of sorted values.

        They lie side by side: of all runs so long, it is the one that reaches least far.
        """
        emit, wide, count = self._builder, ir.VectorType(DOUBLE, self._lanes), len(ordered)
        median = self.mean(ordered[(count - 1) // 2 : count // 2 + 1])
        zero = ir.Constant(wide, [0.0] * self._lanes)
        total = functools.reduce(emit.fadd, (self._widen(v, wide) for v in ordered[:kept]), zero)
        best, radius = total, self._radius(ordered[0], ordered[kept - 1], median)
        for first in range(1, count - kept + 1):
            last = ordered[first + kept - 1]
            total = emit.fsub(total, self._widen(ordered[first - 1], wide))
            total = emit.fadd(total, self._widen(last, wide))
            other = self._radius(ordered[first], last, median)
            closer = emit.fcmp_ordered("<", other, radius)
            best, radius = emit.select(closer, total, best), emit.select(closer, other, radius)
        return self._narrow(emit.fdiv(best, ir.Constant(wide, [float(kept)] * self._lanes)))

    def _radius(self, least: Any, greatest: Any, median: Any) -> Any:
        below = self._builder.fsub(median, least)
        above = self._builder.fsub(greatest, median)
        return self._builder.select(self._builder.fcmp_ordered(">", below, above), below, above)

    def _narrow(self, value: Any) -> Any:
        return value if value.type == self._type else self._builder.fptrunc(value, self._type)

    def _widen(self, value: Any, wide: Any) -> Any:
        return value if self._type == wide else self._builder.fpext(value, wide)

    def store(self, value: Any, address: Any) -> None:
        pointer = self._builder.inttoptr(address, self._type.as_pointer())
        self._builder.store(value, pointer, align=self._itemsize)


def _vectors(context: Any, builder: Any, like: Any) -> _Vectors:
    return _Vectors(builder, context.get_value_type(like.dtype), like.dtype.bitwidth)


def _locate(builder: Any, table: Any, offset: Any) -> Locate:
    """Return where the vectors at a byte of the arrays in ``table`` lie."""
    pointers = builder.inttoptr(table, WORD.as_pointer())

    def locate(wire: int) -> Any:
        place = builder.gep(pointers, [ir.Constant(WORD, wire)])
        return builder.add(builder.load(place), offset)

    return locate


def _middle(_typing: Any, out: Any, table: Any, like: Any, size: Any, cut: Any, offset: Any) -> Any:
    """Write to ``out`` the mean of the ranks from ``cut`` to ``size - cut``."""
    count, start, stop = size.count, cut.count, size.count - cut.count

    def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        out, table, _, _, _, offset = arguments
        vectors = _vectors(context, builder, like)
        selection = sorting_network.select(count, start, stop)
        values = vectors.ordered(_locate(builder, table, offset), count, selection)
        vectors.store(vectors.mean(values[start:stop]), builder.add(out, offset))
        return context.get_dummy_value()

    return types.void(out, table, like, size, cut, offset), build


def _nearest(
    _typing: Any, out: Any, table: Any, like: Any, size: Any, kept: Any, offset: Any
) -> Any:
    """Write to ``out`` the mean of the ``kept`` values nearest the median."""
    count = size.count

    def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        out, table, _, _, _, offset = arguments
        vectors = _vectors(context, builder, like)
        locate = _locate(builder, table, offset)
        ordered = vectors.ordered(locate, count, sorting_network.sort(count))
        vectors.store(vectors.nearest(ordered, kept.count), builder.add(out, offset))
        return context.get_dummy_value()

    return types.void(out, table, like, size, kept, offset), build


_middle_of_vector = instruction(_middle)
_nearest_of_vector = instruction(_nearest)


@kernel
def trimmed_mean(
    out: Array,
    table: Array,
    size: tuple[int, ...],
    cut: tuple[int, ...],
    start: int,
    stop: int,
) -> None:
    """Write the mean of every coordinate's middle values to ``out``.

    Args:
        out: Where to, as long as each array.
        table: Addresses of the arrays, of the dtype of ``out``.
        size: As many zeros as there are arrays.
        cut: As many zeros as values are left out at either end.
        start: First element to work on.
        stop: Element before which to end, a whole number of vectors on.
    """
    to, addresses = out.ctypes.data, table.ctypes.data
    for offset in range(start * out.itemsize, stop * out.itemsize, WIDTH):
        _middle_of_vector(to, addresses, out, size, cut, offset)


@kernel
def nearest(
    out: Array,
    table: Array,
    size: tuple[int, ...],
    kept: tuple[int, ...],
    start: int,
    stop: int,
) -> None:
    """Write the mean of every coordinate's ``kept`` values nearest its median to ``out``.

    Args:
        out: Where to, as long as each array.
        table: Addresses of the arrays, of the dtype of ``out``.
        size: As many zeros as there are arrays.
        kept: As many zeros as values are averaged.
        start: First element to work on.
        stop: Element before which to end, a whole number of vectors on.
    """
    to, addresses = out.ctypes.data, table.ctypes.data
    for offset in range(start * out.itemsize, stop * out.itemsize, WIDTH):
        _nearest_of_vector(to, addresses, out, size, kept, offset)
