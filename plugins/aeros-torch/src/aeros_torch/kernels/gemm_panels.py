"""Products of a few rows with panels of columns, emitted as LLVM instructions on vectors.

``c[r] = init[r] + sum_k a[r, k] * b[k]``, where ``b[k]`` is a row of one or two vectors: the
innermost loop of convolutions and of recurrent layers, forward and backward. All sums stay
in registers until the end; each step loads a row of ``b`` once and spreads one number of each
row of ``a``. Where rows of ``a`` lie is told by a table, so that the pixels under a kernel
are read where they are (Dukhan 2019, "The Indirect Convolution Algorithm").
"""
# ruff: noqa: ARG001  numba looks at the arguments of an intrinsic

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["LANES", "ROWS", "outer", "panel"]

LANES = 8
"""Elements in a vector: a register of AVX2."""

ROWS = 6
"""Rows of a tile: twelve sums of two vectors leave four of AVX2's registers."""

_WORD, _INDEX, _FLOAT = ir.IntType(64), ir.IntType(32), ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_MAY_FUSE = ("contract",)


def panel(rows: int, vectors: int) -> Any:
    """Return what multiplies ``rows`` rows with a panel of ``vectors`` vectors.

    It is called from a kernel with addresses and distances in bytes: ``(c, c_row, init,
    init_row, a, table, b, outer, inner, a_outer, a_inner, b_outer, b_inner)``. Row ``r`` of
    ``a`` begins at ``a + table[r]``, an array of int64; ``k`` counts in two nested loops,
    ``outer`` times ``inner``, both at least 1.

    Args:
        rows: Rows of ``a`` and ``c``.
        vectors: Vectors in a row of ``b`` and ``c``.
    """

    def tile(
        _typing: Any,
        c: Any,
        c_row: Any,
        init: Any,
        init_row: Any,
        a: Any,
        table: Any,
        b: Any,
        outer: Any,
        inner: Any,
        a_outer: Any,
        a_inner: Any,
        b_outer: Any,
        b_inner: Any,
    ) -> tuple[Any, Any]:
        def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            c, c_row, init, init_row, a, table, b, outer, inner, *steps = arguments
            tile = _Tile(builder, rows, vectors)
            tile.begin(init, init_row)
            firsts = [builder.add(a, tile.number(table, _word(row))) for row in range(rows)]
            at, of = tile.variable(_WORD), tile.variable(_WORD)
            with cgutils.for_range(builder, outer) as far:
                builder.store(builder.mul(far.index, steps[0]), at)
                builder.store(builder.add(b, builder.mul(far.index, steps[2])), of)
                with cgutils.for_range(builder, inner):
                    k, row = builder.load(at), builder.load(of)
                    tile.add([builder.add(first, k) for first in firsts], row)
                    builder.store(builder.add(k, steps[1]), at)
                    builder.store(builder.add(row, steps[3]), of)
            tile.end(c, c_row)
            return _context.get_dummy_value()

        return types.void(*[types.intp] * 13), build

    return intrinsic(tile)


def outer(rows: int, vectors: int) -> Any:
    """Return what adds ``sum_p a[p, r] * b[p]`` to ``c[r]``: products over pixels or steps.

    It is called from a kernel with addresses and distances in bytes: ``(c, c_row, a, a_table,
    b, b_table, count)``. For each ``p`` of ``count`` the numbers of ``a`` lie one behind the
    other at ``a + a_table[p]``, and the row of ``b`` at ``b + b_table[p]``. One loop with
    tables is a fifth faster than two nested ones, whose short inner one is mispredicted.

    Args:
        rows: Rows of ``c``, numbers of ``a``.
        vectors: Vectors in a row of ``b`` and ``c``.
    """

    def tile(
        _typing: Any,
        c: Any,
        c_row: Any,
        a: Any,
        a_table: Any,
        b: Any,
        b_table: Any,
        count: Any,
    ) -> tuple[Any, Any]:
        def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            c, c_row, a, a_table, b, b_table, count = arguments
            tile = _Tile(builder, rows, vectors)
            tile.begin(c, c_row)
            with cgutils.for_range(builder, count) as loop:
                from_a, from_b = tile.number(a_table, loop.index), tile.number(b_table, loop.index)
                first = builder.add(a, from_a)
                numbers = [builder.add(first, _word(4 * row)) for row in range(rows)]
                tile.add(numbers, builder.add(b, from_b))
            tile.end(c, c_row)
            return _context.get_dummy_value()

        return types.void(*[types.intp] * 7), build

    return intrinsic(tile)


class _Tile:
    """Emits sums of some rows of vectors, each in a register."""

    def __init__(self, builder: Any, rows: int, vectors: int):
        self._builder, self._vectors = builder, vectors
        self._sums = [[self.variable(_VECTOR) for _ in range(vectors)] for _ in range(rows)]

    def begin(self, rows: Any, step: Any) -> None:
        """Begin with rows of numbers."""
        for row, part, total in self._places():
            self._builder.store(self._vector(self._row(rows, step, row), part), total)

    def add(self, numbers: list[Any], columns: Any) -> None:
        """Add the products of a number for each row with a row of vectors."""
        builder = self._builder
        vectors = [self._vector(columns, part) for part in range(self._vectors)]
        wide = [self._spread(number) for number in numbers]
        for row, part, total in self._places():
            product = builder.fmul(wide[row], vectors[part], flags=_MAY_FUSE)
            builder.store(builder.fadd(builder.load(total), product, flags=_MAY_FUSE), total)

    def end(self, rows: Any, step: Any) -> None:
        """Write the sums."""
        for row, part, total in self._places():
            there = self._builder.add(self._row(rows, step, row), _word(4 * LANES * part))
            pointer = self._builder.inttoptr(there, _VECTOR.as_pointer())
            self._builder.store(self._builder.load(total), pointer, align=4)

    def _places(self) -> Iterator[tuple[int, int, Any]]:
        for row, totals in enumerate(self._sums):
            for part, total in enumerate(totals):
                yield row, part, total

    def _row(self, rows: Any, step: Any, row: int) -> Any:
        return self._builder.add(rows, self._builder.mul(step, _word(row)))

    def variable(self, kind: Any) -> Any:
        """Return the place of a variable."""
        return cgutils.alloca_once(self._builder, kind)  # type: ignore[no-untyped-call]

    def _vector(self, address: Any, part: int) -> Any:
        there = self._builder.add(address, _word(4 * LANES * part))
        return self._builder.load(self._builder.inttoptr(there, _VECTOR.as_pointer()), align=4)

    def number(self, table: Any, place: Any) -> Any:
        """Return a number of a table of int64."""
        there = self._builder.add(table, self._builder.shl(place, _word(3)))
        return self._builder.load(self._builder.inttoptr(there, _WORD.as_pointer()))

    def _spread(self, address: Any) -> Any:
        value = self._builder.load(self._builder.inttoptr(address, _FLOAT.as_pointer()), align=4)
        nothing = ir.Constant(_VECTOR, ir.Undefined)
        one = self._builder.insert_element(nothing, value, ir.Constant(_INDEX, 0))
        lanes = ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES)
        return self._builder.shuffle_vector(one, one, lanes)


def _word(value: int) -> Any:
    return ir.Constant(_WORD, value)
