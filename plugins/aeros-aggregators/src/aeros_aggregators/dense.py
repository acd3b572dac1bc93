"""Codecs that send every number, in fewer bits; kernels add them up as they are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aeros_aggregators import buffers, coding, small, threads
from aeros_aggregators.coding import Code
from aeros_aggregators.limits import demand
from aeros_aggregators.vectors import is_real
from aeros_core.encoding import Encoded
from aeros_core.parameters import Array, Parameters

__all__ = ["BFloat16", "Float16", "Int8", "decoded"]

LIMIT = np.float32(2.0**120)
"""What no number may exceed, so that a dozen of them can be added up in float32."""

NOT_FINITE = "NaN, infinity or a number beyond 2^120"


class Float16:
    """Half precision, rounded to the nearest; greater finite changes become 65,504."""

    def encode(
        self,
        change: Parameters,
        residual: Parameters | None,  # noqa: ARG002 - nothing is kept
        rng: np.random.Generator,  # noqa: ARG002 - nothing is drawn
    ) -> tuple[Encoded, None]:
        """Return the change in two bytes an element."""
        arrays = coding.plain(change)
        for dtype, vector in coding.reals(change).items():
            out = np.empty(vector.size, np.float16)
            if vector.size < small.SMALL:
                out[:] = coding.narrowed(vector, "float16")
            else:
                from aeros_aggregators.kernels import rounding as kernels

                threads.spread(kernels.to_half, out.size, out.view(np.int16), vector)
            arrays[dtype] = out
        return Encoded(arrays, change.layout.sizes, self), None

    def decode(self, encoded: Encoded, dtype: str) -> Array:
        """Return the vector of ``dtype``."""
        return _decoded(self, encoded, dtype)

    def fault(self, encoded: Encoded) -> str | None:
        """Say what is wrong with the arrays."""
        shapes = {d: ("float16", n) for d, n in encoded.sizes.items() if is_real(d)}
        if wrong := coding.misfit(encoded, shapes):
            return wrong
        good = all(np.isfinite(encoded.arrays[dtype]).all() for dtype in shapes)
        return None if good else "NaN or infinity"

    def code(self, encoded: Encoded, dtype: str) -> Code:
        """Return the vector of ``dtype`` as kernels read it."""
        values = encoded.arrays[dtype].view(np.int16)
        return Code(values, None, values.size)


class BFloat16:
    """The upper sixteen bits of float32, rounded to the nearest.

    Kalamkar et al., A Study of BFLOAT16 for Deep Learning Training (2019);
    arXiv:1905.12322.
    """

    def encode(
        self,
        change: Parameters,
        residual: Parameters | None,  # noqa: ARG002 - nothing is kept
        rng: np.random.Generator,  # noqa: ARG002 - nothing is drawn
    ) -> tuple[Encoded, None]:
        """Return the change in two bytes an element."""
        arrays = coding.plain(change)
        for dtype, vector in coding.reals(change).items():
            out = np.empty(vector.size, np.uint16)
            if vector.size < small.SMALL:
                bits = vector.view(np.uint32).astype(np.uint64)
                out[:] = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
                out[np.isnan(vector)] = 0x7FC0
            else:
                from aeros_aggregators.kernels import rounding as kernels

                threads.spread(kernels.to_brain, out.size, out, vector.view(np.uint32))
            arrays[dtype] = out
        return Encoded(arrays, change.layout.sizes, self), None

    def decode(self, encoded: Encoded, dtype: str) -> Array:
        """Return the vector of ``dtype``."""
        return _decoded(self, encoded, dtype)

    def fault(self, encoded: Encoded) -> str | None:
        """Say what is wrong with the arrays."""
        shapes = {d: ("uint16", n) for d, n in encoded.sizes.items() if is_real(d)}
        if wrong := coding.misfit(encoded, shapes):
            return wrong
        most = int(LIMIT.view(np.uint32)) >> 16
        good = all((encoded.arrays[dtype] & 0x7FFF <= most).all() for dtype in shapes)
        return None if good else NOT_FINITE

    def code(self, encoded: Encoded, dtype: str) -> Code:
        """Return the vector of ``dtype`` as kernels read it."""
        values = encoded.arrays[dtype]
        return Code(values, None, values.size)


class Int8:
    """Whole numbers of steps, the step of each block its greatest change over 127.

    Dettmers et al., 8-bit Optimizers via Block-wise Quantization (2022), section 2.1, with
    linear instead of dynamic steps; arXiv:2110.02861. Rounded to the nearest, so a number
    is off by half a step at most.

    Args:
        block: Elements that share a step.

    Raises:
        ConfigError: ``block`` is no power of two from 64 to 65,536.
    """

    def __init__(self, *, block: int) -> None:
        good = 64 <= block <= threads.SPAN and block & (block - 1) == 0
        demand("codec.block", block, good, "a power of two from 64 to 65536")
        self._block = block

    def encode(
        self,
        change: Parameters,
        residual: Parameters | None,  # noqa: ARG002 - nothing is kept
        rng: np.random.Generator,  # noqa: ARG002 - nothing is drawn
    ) -> tuple[Encoded, None]:
        """Return the change in a byte an element, and four a block."""
        arrays = coding.plain(change)
        for dtype, vector in coding.reals(change).items():
            out = np.empty(vector.size, np.int8)
            scales = np.empty(-(-vector.size // self._block), np.float32)
            if vector.size < small.SMALL:
                small.to_int8(out, scales, vector, self._block)
            else:
                from aeros_aggregators.kernels import rounding as kernels

                bits = vector.view(np.uint32)
                threads.spread(kernels.to_int8, out.size, out, scales, vector, bits, self._block)
            arrays |= {dtype: out, f"{dtype}.scales": scales}
        return Encoded(arrays, change.layout.sizes, self), None

    def decode(self, encoded: Encoded, dtype: str) -> Array:
        """Return the vector of ``dtype``."""
        return _decoded(self, encoded, dtype)

    def fault(self, encoded: Encoded) -> str | None:
        """Say what is wrong with the arrays."""
        real = {dtype: n for dtype, n in encoded.sizes.items() if is_real(dtype)}
        shapes = {dtype: ("int8", n) for dtype, n in real.items()}
        shapes |= {f"{d}.scales": ("float32", -(-n // self._block)) for d, n in real.items()}
        if wrong := coding.misfit(encoded, shapes):
            return wrong
        scales = [encoded.arrays[f"{dtype}.scales"] for dtype in real]
        good = all((np.abs(s) <= LIMIT / 128).all() for s in scales)
        return None if good else NOT_FINITE

    def code(self, encoded: Encoded, dtype: str) -> Code:
        """Return the vector of ``dtype`` as kernels read it."""
        arrays: Mapping[str, Array] = encoded.arrays
        return Code(arrays[dtype], arrays[f"{dtype}.scales"], self._block)


def _decoded(codec: Float16 | BFloat16 | Int8, encoded: Encoded, dtype: str) -> Array:
    if not is_real(dtype):
        return encoded.arrays[dtype]
    return coding.narrowed(decoded(codec.code(encoded, dtype)), dtype)


def decoded(code: Code) -> Array:
    """Return the vector as float32."""
    values, scales, block = code
    if values.size < small.SMALL:
        return small.decoded(values, scales, block)
    from aeros_aggregators.kernels import codes as kernels

    out = buffers.take(values.size, "float32")
    ones = np.ones(1, np.float32) if scales is None else scales
    threads.spread(kernels.decode, out.size, out, values, ones, block)
    return out
