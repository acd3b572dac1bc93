"""The innermost loops of dense layers, emitted as LLVM instructions on vectors.

Two shapes do all the work: scalar products of a few rows with a few rows, and weighted
rows added to a few rows. A tile keeps its sums (or its weights) in registers, so that one
load serves several multiplications; LLVM's vectoriser does not find this from loops over
arrays that might overlap. Rows are given as the address of the first and the bytes from one
to the next: with 0 the same row stands for several, which is how odd numbers are dealt with.
"""
# ruff: noqa: ARG001  numba looks at the arguments of an intrinsic

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["LANES", "accumulate", "dots"]

LANES = 8
"""Elements in a vector: a register of AVX2."""

_WORD, _INDEX, _FLOAT = ir.IntType(64), ir.IntType(32), ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_MAY_FUSE = ("contract",)


def dots(left: int, right: int) -> Any:
    """Return what writes ``out[l * right + r] = sum(a[l] * b[r])`` from a kernel.

    It is called with addresses and bytes: ``(out, a, a_step, b, b_step, length)``.

    Args:
        left: Rows of ``a``.
        right: Rows of ``b``.
    """

    def tile(
        _typing: Any, out: Any, a: Any, a_step: Any, b: Any, b_step: Any, length: Any
    ) -> tuple[Any, Any]:
        def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            out, a, a_step, b, b_step, length = arguments
            emit = _Emitter(builder)
            rows, columns = emit.rows(a, a_step, left), emit.rows(b, b_step, right)
            parts = [
                emit.products(rows, columns, *there)
                for there in ((_VECTOR, None, length), (_FLOAT, LANES, length))
            ]
            for place, (wide, rest) in enumerate(zip(*parts, strict=True)):
                value = builder.fadd(emit.total(wide), rest)
                emit.store(value, out, _word(place), _FLOAT)
            return _context.get_dummy_value()

        return types.void(*[types.intp] * 6), build

    return intrinsic(tile)


def accumulate(rows: int, sources: int) -> Any:
    """Return what adds ``sum(c[r, s] * x[s])`` to ``out[r]`` from a kernel.

    It is called with addresses and bytes: ``(out, out_step, x, x_step, c, c_row,
    c_source, length)``, where ``c[r, s]`` lies at ``c + r * c_row + s * c_source``.

    Args:
        rows: Rows of ``out``.
        sources: Rows of ``x``.
    """

    def tile(
        _typing: Any,
        out: Any,
        out_step: Any,
        x: Any,
        x_step: Any,
        c: Any,
        c_row: Any,
        c_source: Any,
        length: Any,
    ) -> tuple[Any, Any]:
        def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            out, out_step, x, x_step, c, c_row, c_source, length = arguments
            emit = _Emitter(builder)
            to, of = emit.rows(out, out_step, rows), emit.rows(x, x_step, sources)
            factors = [
                [emit.load(f, _word(0), _FLOAT) for f in emit.rows(row, c_source, sources)]
                for row in emit.rows(c, c_row, rows)
            ]
            wide = [[emit.spread(factor) for factor in row] for row in factors]
            emit.sums(to, of, wide, _VECTOR, None, length)
            emit.sums(to, of, factors, _FLOAT, LANES, length)
            return _context.get_dummy_value()

        return types.void(*[types.intp] * 8), build

    return intrinsic(tile)


class _Emitter:
    """Emits loads, sums and stores of rows of float32."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def rows(self, first: Any, step: Any, count: int) -> list[Any]:
        """Return the addresses of ``count`` rows."""
        addresses = [first]
        for _ in range(count - 1):
            addresses.append(self._builder.add(addresses[-1], step))
        return addresses

    def load(self, row: Any, index: Any, kind: Any) -> Any:
        return self._builder.load(self._at(row, index, kind), align=4)

    def store(self, value: Any, row: Any, index: Any, kind: Any) -> None:
        self._builder.store(value, self._at(row, index, kind), align=4)

    def _at(self, row: Any, index: Any, kind: Any) -> Any:
        there = self._builder.add(row, self._builder.shl(index, _word(2)))
        return self._builder.inttoptr(there, kind.as_pointer())

    @contextmanager
    def _each(self, whole: int | None, length: Any) -> Iterator[Any]:
        """Loop over whole vectors, or over the elements behind the last of them."""
        end = self._builder.and_(length, _word(-LANES))
        bounds = (_word(0), end, _word(LANES)) if whole is None else (end, length, _word(1))
        with cgutils.for_range_slice(self._builder, *bounds, _WORD) as (index, _):
            yield index

    def products(
        self, a: Sequence[Any], b: Sequence[Any], kind: Any, whole: int | None, length: Any
    ) -> list[Any]:
        """Return the sums of products of each row of ``a`` with each of ``b``."""
        zero = ir.Constant(kind, [0.0] * LANES if kind is _VECTOR else 0.0)
        sums = [
            cgutils.alloca_once(self._builder, kind)  # type: ignore[no-untyped-call]
            for _ in range(len(a) * len(b))
        ]
        for place in sums:
            self._builder.store(zero, place)
        with self._each(whole, length) as index:
            x = [self.load(row, index, kind) for row in a]
            y = [self.load(row, index, kind) for row in b]
            for place, (one, other) in zip(sums, ((p, q) for p in x for q in y), strict=True):
                value = self._fused(one, other, self._builder.load(place))
                self._builder.store(value, place)
        return [self._builder.load(place) for place in sums]

    def sums(
        self,
        to: Sequence[Any],
        of: Sequence[Any],
        factors: Sequence[Sequence[Any]],
        kind: Any,
        whole: int | None,
        length: Any,
    ) -> None:
        """Add weighted rows to rows."""
        with self._each(whole, length) as index:
            values = [self.load(row, index, kind) for row in to]
            for source, row in enumerate(of):
                x = self.load(row, index, kind)
                values = [
                    self._fused(some[source], x, value)
                    for some, value in zip(factors, values, strict=True)
                ]
            for row, value in zip(to, values, strict=True):
                self.store(value, row, index, kind)

    def _fused(self, a: Any, b: Any, c: Any) -> Any:
        product = self._builder.fmul(a, b, flags=_MAY_FUSE)
        return self._builder.fadd(c, product, flags=_MAY_FUSE)

    def spread(self, value: Any) -> Any:
        """Return a vector that holds ``value`` in every lane."""
        one = self._builder.insert_element(
            ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(_INDEX, 0)
        )
        return self._builder.shuffle_vector(one, one, _lanes([0] * LANES))

    def total(self, vector: Any) -> Any:
        """Return the sum over the lanes."""
        count = LANES
        while count > 1:
            count //= 2
            low = self._builder.shuffle_vector(vector, vector, _lanes(range(count)))
            high = self._builder.shuffle_vector(vector, vector, _lanes(range(count, 2 * count)))
            vector = self._builder.fadd(low, high)
        return self._builder.extract_element(vector, ir.Constant(_INDEX, 0))


def _word(value: int) -> Any:
    return ir.Constant(_WORD, value)


def _lanes(numbers: Sequence[int]) -> Any:
    return ir.Constant(ir.VectorType(_INDEX, len(numbers)), list(numbers))
