"""Products of a few rows with panels of columns, emitted as LLVM instructions on vectors.

``c[r] = init[r] + sum_k a[r, k] * b[k]``, where ``b[k]`` is a row of one or two vectors: the
innermost loop of convolutions and of recurrent layers, forward and backward. All sums stay
in registers until the end; each step loads a row of ``b`` once and spreads one number of each
row of ``a``. Where rows of ``a`` lie is told by a table, so that the pixels under a kernel
are read where they are (Dukhan 2019, "The Indirect Convolution Algorithm").
"""
# ruff: noqa: ARG001  numba looks at the arguments of an intrinsic

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["LANES", "ROWS", "panel"]

LANES = 8
"""Elements in a vector: a register of AVX2."""

ROWS = 6
"""Rows of a tile: twelve sums of two vectors leave four of AVX2's registers."""

_WORD, _INDEX, _FLOAT = ir.IntType(64), ir.IntType(32), ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_MAY_FUSE = ("contract",)
_ZERO = ir.Constant(_WORD, 0)


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
            _Tile(builder, rows, vectors).emit(*arguments)
            return _context.get_dummy_value()

        return types.void(*[types.intp] * 13), build

    return intrinsic(tile)


class _Tile:
    def __init__(self, builder: Any, rows: int, vectors: int):
        self._builder, self._rows, self._vectors = builder, rows, vectors

    def emit(
        self,
        c: Any,
        c_row: Any,
        init: Any,
        init_row: Any,
        a: Any,
        table: Any,
        b: Any,
        outer: Any,
        inner: Any,
        *steps: Any,
    ) -> None:
        """Emit the whole tile; arguments as `panel` says."""
        builder = self._builder
        places = [(row, part) for row in range(self._rows) for part in range(self._vectors)]
        sums = {place: self._variable(_VECTOR) for place in places}
        for (row, part), total in sums.items():
            start = builder.add(init, builder.mul(init_row, _word(row)))
            builder.store(self._vector(start, part), total)
        offsets = [builder.add(a, self._number(table, row, _WORD)) for row in range(self._rows)]
        self._add(sums, offsets, b, (outer, inner), steps)
        for (row, part), total in sums.items():
            to = builder.add(c, builder.mul(c_row, _word(row)))
            there = builder.add(to, _word(4 * LANES * part))
            pointer = builder.inttoptr(there, _VECTOR.as_pointer())
            builder.store(builder.load(total), pointer, align=4)

    def _add(self, sums: Any, offsets: Any, b: Any, counts: Any, steps: Any) -> None:
        """Emit the loops that add products to the sums."""
        builder, (a_outer, a_inner, b_outer, b_inner) = self._builder, steps
        at, of = self._variable(_WORD), self._variable(_WORD)
        with cgutils.for_range(builder, counts[0]) as far:
            builder.store(builder.mul(far.index, a_outer), at)
            builder.store(builder.add(b, builder.mul(far.index, b_outer)), of)
            with cgutils.for_range(builder, counts[1]):
                k, row = builder.load(at), builder.load(of)
                columns = [self._vector(row, part) for part in range(self._vectors)]
                numbers = [self._spread(builder.add(offset, k)) for offset in offsets]
                for (one, part), total in sums.items():
                    product = builder.fmul(numbers[one], columns[part], flags=_MAY_FUSE)
                    value = builder.fadd(builder.load(total), product, flags=_MAY_FUSE)
                    builder.store(value, total)
                builder.store(builder.add(k, a_inner), at)
                builder.store(builder.add(row, b_inner), of)

    def _variable(self, kind: Any) -> Any:
        return cgutils.alloca_once(self._builder, kind)  # type: ignore[no-untyped-call]

    def _vector(self, address: Any, part: int) -> Any:
        there = self._builder.add(address, _word(4 * LANES * part))
        return self._builder.load(self._builder.inttoptr(there, _VECTOR.as_pointer()), align=4)

    def _number(self, address: Any, place: int, kind: Any) -> Any:
        there = self._builder.add(address, _word(8 * place))
        return self._builder.load(self._builder.inttoptr(there, kind.as_pointer()))

    def _spread(self, address: Any) -> Any:
        value = self._builder.load(self._builder.inttoptr(address, _FLOAT.as_pointer()), align=4)
        nothing = ir.Constant(_VECTOR, ir.Undefined)
        one = self._builder.insert_element(nothing, value, ir.Constant(_INDEX, 0))
        lanes = ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES)
        return self._builder.shuffle_vector(one, one, lanes)


def _word(value: int) -> Any:
    return ir.Constant(_WORD, value)
