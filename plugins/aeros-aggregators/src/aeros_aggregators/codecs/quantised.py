"""Codecs that send every number, in fewer bits; kernels add them up as they are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aeros_aggregators.arrays import buffer_pool, encoded_vectors, parallel
from aeros_aggregators.arrays.encoded_vectors import Code
from aeros_aggregators.arrays.host import is_real
from aeros_aggregators.kernels import numpy_kernels
from aeros_aggregators.options import check_option
from aeros_core.arrays import Array
from aeros_core.encoding import Encoded
from aeros_core.parameters import Parameters

__all__ = ["BFloat16", "Float16", "Int8", "decoded"]

LIMIT = np.float32(2.0**120)
"""What no number may exceed, so that a dozen of them can be added up in float32."""


class _EveryNumber:
    """What the codecs have in common: each vector of floating-point numbers becomes arrays."""

    def encode(
        self,
        change: Parameters,
        residual: Parameters | None,  # noqa: ARG002 - nothing is kept
        rng: np.random.Generator,  # noqa: ARG002 - nothing is drawn
    ) -> tuple[Encoded, None]:
        """Return the change in one or two bytes an element."""
        arrays = encoded_vectors.plain(change)
        for dtype, vector in encoded_vectors.reals(change).items():
            arrays |= self._arrays(dtype, vector)
        return Encoded(arrays, change.layout.sizes, self), None

    def decode(self, encoded: Encoded, dtype: str) -> Array:
        """Return the vector of ``dtype``."""
        if not is_real(dtype):
            return encoded.arrays[dtype]
        return encoded_vectors.narrowed(decoded(self.code(encoded, dtype)), dtype)

    def fault(self, encoded: Encoded) -> str | None:
        """Say what is wrong with the arrays."""
        real = {dtype: n for dtype, n in encoded.sizes.items() if is_real(dtype)}
        if wrong := encoded_vectors.misfit(encoded, self._shapes(real)):
            return wrong
        return None if all(self._finite(encoded, dtype) for dtype in real) else self._not_finite

    def code(self, encoded: Encoded, dtype: str) -> Code:
        """Return the vector of ``dtype`` as kernels read it."""
        raise NotImplementedError

    def _arrays(self, dtype: str, vector: Array) -> dict[str, Array]:
        """Return the arrays that a vector is sent as."""
        raise NotImplementedError

    def _shapes(self, sizes: Mapping[str, int]) -> dict[str, tuple[str, int]]:
        """Return dtype and length of the arrays that vectors of these sizes are sent as."""
        raise NotImplementedError

    def _finite(self, encoded: Encoded, dtype: str) -> bool:
        """Tell whether all numbers of a vector can be added up."""
        raise NotImplementedError

    _not_finite = "NaN, infinity or a number beyond 2^120"


class Float16(_EveryNumber):
    """Half precision, rounded to the nearest; greater finite changes become 65,504."""

    _not_finite = "NaN or infinity"

    def _arrays(self, dtype: str, vector: Array) -> dict[str, Array]:
        out = np.empty(vector.size, np.float16)
        if vector.size < numpy_kernels.SMALL:
            out[:] = encoded_vectors.narrowed(vector, "float16")
        else:
            from aeros_aggregators.kernels import rounding as kernels

            parallel.spread(kernels.to_half, out.size, out.view(np.int16), vector)
        return {dtype: out}

    def _shapes(self, sizes: Mapping[str, int]) -> dict[str, tuple[str, int]]:
        return {dtype: ("float16", n) for dtype, n in sizes.items()}

    def _finite(self, encoded: Encoded, dtype: str) -> bool:
        return bool(np.isfinite(encoded.arrays[dtype]).all())

    def code(self, encoded: Encoded, dtype: str) -> Code:
        """Return the vector of ``dtype`` as kernels read it."""
        values = encoded.arrays[dtype].view(np.int16)
        return Code(values, None, values.size)


class BFloat16(_EveryNumber):
    """The upper sixteen bits of float32, rounded to the nearest.

    Kalamkar et al., A Study of BFLOAT16 for Deep Learning Training (2019);
    arXiv:1905.12322.
    """

    def _arrays(self, dtype: str, vector: Array) -> dict[str, Array]:
        out = np.empty(vector.size, np.uint16)
        if vector.size < numpy_kernels.SMALL:
            bits = vector.view(np.uint32).astype(np.uint64)
            out[:] = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
            out[np.isnan(vector)] = 0x7FC0
        else:
            from aeros_aggregators.kernels import rounding as kernels

            parallel.spread(kernels.to_brain, out.size, out, vector.view(np.uint32))
        return {dtype: out}

    def _shapes(self, sizes: Mapping[str, int]) -> dict[str, tuple[str, int]]:
        return {dtype: ("uint16", n) for dtype, n in sizes.items()}

    def _finite(self, encoded: Encoded, dtype: str) -> bool:
        most = int(LIMIT.view(np.uint32)) >> 16
        return bool((encoded.arrays[dtype] & 0x7FFF <= most).all())

    def code(self, encoded: Encoded, dtype: str) -> Code:
        """Return the vector of ``dtype`` as kernels read it."""
        values = encoded.arrays[dtype]
        return Code(values, None, values.size)


class Int8(_EveryNumber):
    """Whole numbers of steps, the step of each block its greatest change over 127.

    Dettmers et al., 8-bit Optimizers via Block-wise Quantization (2022), section 2.1, with
    linear instead of dynamic steps; arXiv:2110.02861. Rounded to the nearest, so a number
    is off by half a step at most. A block takes four bytes besides.

    Args:
        block: Elements that share a step.

    Raises:
        ConfigError: ``block`` is no power of two from 64 to 65,536.
    """

    def __init__(self, *, block: int) -> None:
        good = 64 <= block <= parallel.SPAN and block & (block - 1) == 0
        check_option("codec.block", block, good, "a power of two from 64 to 65536")
        self._block = block

    def _arrays(self, dtype: str, vector: Array) -> dict[str, Array]:
        out = np.empty(vector.size, np.int8)
        scales = np.empty(-(-vector.size // self._block), np.float32)
        if vector.size < numpy_kernels.SMALL:
            numpy_kernels.to_int8(out, scales, vector, self._block)
        else:
            from aeros_aggregators.kernels import rounding as kernels

            bits = vector.view(np.uint32)
            parallel.spread(kernels.to_int8, out.size, out, scales, vector, bits, self._block)
        return {dtype: out, f"{dtype}.scales": scales}

    def _shapes(self, sizes: Mapping[str, int]) -> dict[str, tuple[str, int]]:
        shapes = {dtype: ("int8", n) for dtype, n in sizes.items()}
        scales = {f"{d}.scales": ("float32", -(-n // self._block)) for d, n in sizes.items()}
        return shapes | scales

    def _finite(self, encoded: Encoded, dtype: str) -> bool:
        return bool((np.abs(encoded.arrays[f"{dtype}.scales"]) <= LIMIT / 128).all())

    def code(self, encoded: Encoded, dtype: str) -> Code:
        """Return the vector of ``dtype`` as kernels read it."""
        arrays: Mapping[str, Array] = encoded.arrays
        return Code(arrays[dtype], arrays[f"{dtype}.scales"], self._block)


def decoded(code: Code) -> Array:
    """Return the vector as float32."""
    values, scales, block = code
    if values.size < numpy_kernels.SMALL:
        return numpy_kernels.decoded(values, scales, block)
    from aeros_aggregators.kernels import codes as kernels

    out = buffer_pool.take(values.size, "float32")
    ones = np.ones(1, np.float32) if scales is None else scales
    parallel.spread(kernels.decode, out.size, out, values, ones, block)
    return out
