"""Order statistics of every coordinate: comparator networks on explicit LLVM vectors.

K loads, a network of compare-and-select, one store: for a dozen updates the time is
that of reading them. LLVM's vectoriser does not find this from loops, so the network is
emitted as instructions on vectors of 64 bytes. Numbers that decide the instructions
come as the length of a tuple of zeros, because numba compiles for types, not values.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from llvmlite import ir
from numba import types

from aeros_aggregators.kernels import network
from aeros_aggregators.kernels.compiling import instruction, kernel
from aeros_core.parameters import Array

__all__ = ["WIDTH", "middle", "nearest"]

WIDTH = 64
"""Bytes in a vector: two registers of AVX2, one of AVX-512."""

WORD, DOUBLE = ir.IntType(64), ir.DoubleType()


class _Vectors:
    """Emits loads, comparisons and stores of one vector of every update.

    Args:
        builder: Where the instructions go.
        element: LLVM's type of one element.
        lanes: Elements in a vector.
    """

    def __init__(self, builder: Any, element: Any, lanes: int) -> None:
        self._builder, self._lanes = builder, lanes
        self._type = ir.VectorType(element, lanes)
        self._itemsize = WIDTH // lanes

    def pointer(self, address: Any, index: Any) -> Any:
        offset = self._builder.mul(index, ir.Constant(WORD, self._itemsize))
        there = self._builder.add(address, offset)
        return self._builder.inttoptr(there, self._type.as_pointer())

    def load(self, table: Any, size: int, index: Any) -> list[Any]:
        """Load the vector at ``index`` of each array whose address is in ``table``."""
        values = []
        for k in range(size):
            address = self._builder.load(self._builder.gep(table, [ir.Constant(WORD, k)]))
            pointer = self.pointer(address, index)
            values.append(self._builder.load(pointer, align=self._itemsize))
        return values

    def exchange(self, values: list[Any], comparators: Iterable[network.Comparator]) -> None:
        """Put lesser values on lower wires, as the network says."""
        for low, high, keeps_low, keeps_high in comparators:
            a, b = values[low], values[high]
            less = self._builder.fcmp_ordered("<", a, b)
            if keeps_low:
                values[low] = self._builder.select(less, a, b)
            if keeps_high:
                values[high] = self._builder.select(less, b, a)

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

    def store(self, value: Any, address: Any, index: Any) -> None:
        self._builder.store(value, self.pointer(address, index), align=self._itemsize)


def _middle(_typing: Any, out: Any, table: Any, like: Any, size: Any, cut: Any, index: Any) -> Any:
    """Write to one vector of ``out`` the mean of the ranks ``cut`` to ``size - cut``."""
    signature = types.void(out, table, like, size, cut, index)
    count, start, stop = size.count, cut.count, size.count - cut.count
    lanes = WIDTH * 8 // like.dtype.bitwidth

    def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        out, table, _, _, _, index = arguments
        vectors = _Vectors(builder, context.get_value_type(like.dtype), lanes)
        values = vectors.load(builder.inttoptr(table, WORD.as_pointer()), count, index)
        vectors.exchange(values, network.select(count, start, stop))
        vectors.store(vectors.mean(values[start:stop]), out, index)
        return context.get_dummy_value()

    return signature, build


_middle_of_vector = instruction(_middle)


def _nearest(
    _typing: Any, out: Any, table: Any, like: Any, size: Any, kept: Any, index: Any
) -> Any:
    """Write to one vector of ``out`` the mean of the ``kept`` values nearest the median."""
    signature = types.void(out, table, like, size, kept, index)
    lanes = WIDTH * 8 // like.dtype.bitwidth

    def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        out, table, _, _, _, index = arguments
        vectors = _Vectors(builder, context.get_value_type(like.dtype), lanes)
        values = vectors.load(builder.inttoptr(table, WORD.as_pointer()), size.count, index)
        vectors.exchange(values, network.sort(size.count))
        vectors.store(vectors.nearest(values, kept.count), out, index)
        return context.get_dummy_value()

    return signature, build


_nearest_of_vector = instruction(_nearest)


@kernel
def middle(
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
    for index in range(start, stop, WIDTH // out.itemsize):
        _middle_of_vector(to, addresses, out, size, cut, index)


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
    for index in range(start, stop, WIDTH // out.itemsize):
        _nearest_of_vector(to, addresses, out, size, kept, index)
