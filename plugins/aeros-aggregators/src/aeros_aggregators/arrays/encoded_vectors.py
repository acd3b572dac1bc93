"""What codecs have in common: which vectors they compress, and hostile arrays.

Floating-point vectors are compressed as float32; integers, such as counters of batches,
travel as they are, under the name of their dtype. What is not finite stays not finite through
every codec, so that it is refused; so does a float64 beyond the range of float32. Finite numbers
beyond the range of float16 become its greatest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from aeros_aggregators.arrays.host import host, is_real
from aeros_core.arrays import Array
from aeros_core.encoding import Encoded
from aeros_core.parameters import Parameters

__all__ = ["GROUP", "Code", "Entries", "Shape", "left_of", "misfit", "narrowed", "plain", "reals"]

GROUP = 12
"""Codes that are added up in float32 before float64 takes up their sum."""

HALF = np.float32(65504.0)
"""The greatest float16."""

Shape = tuple[str, int]
"""Dtype and length of an array."""


class Code(NamedTuple):
    """A vector with a number for every element, as kernels read it.

    Args:
        values: int8, to be multiplied by the scale of their block; or the bits of float16
            as int16, of bfloat16 as uint16.
        scales: One float32 for each block; None: no scales.
        block: Elements in a block.
    """

    values: Array
    scales: Array | None
    block: int


class Entries(NamedTuple):
    """A vector that is zero but for some elements.

    Args:
        places: Their places, rising, int64.
        values: Their values, float32.
    """

    places: Array
    values: Array


def reals(change: Parameters) -> dict[str, Array]:
    """Return the floating-point vectors as float32."""
    with np.errstate(over="ignore"):  # infinite, and refused as that
        return {d: host(v, "float32") for d, v in change.vectors.items() if is_real(d)}


def narrowed(values: Array, dtype: str) -> Array:
    """Return float32 values in the dtype of the parameters; finite ones stay finite."""
    if dtype != "float16":
        return values.astype(dtype, copy=False)
    held = np.clip(values, -HALF, HALF)
    return np.where(np.isinf(values), values, held).astype(np.float16)


def plain(change: Parameters) -> dict[str, Array]:
    """Return copies of the vectors that are sent as they are."""
    return {d: np.array(host(v, d)) for d, v in change.vectors.items() if not is_real(d)}


def left_of(change: Parameters, lost: Mapping[str, Array]) -> Parameters:
    """Return a residual: what was lost of floating-point vectors; of integers nothing."""
    sizes = change.layout.sizes
    vectors = {
        dtype: narrowed(lost[dtype], dtype) if dtype in lost else np.zeros(size, dtype)
        for dtype, size in sizes.items()
    }
    return Parameters(change.layout, vectors)


def misfit(encoded: Encoded, coded: Mapping[str, Shape]) -> str | None:
    """Say how arrays are not what kernels may read; None if they are.

    Args:
        encoded: What a stranger sent.
        coded: What there has to be beside vectors that are sent as they are.
    """
    wanted = {d: (d, size) for d, size in encoded.sizes.items() if not is_real(d)} | dict(coded)
    if encoded.arrays.keys() != wanted.keys():
        return f"arrays {_listed(encoded.arrays)}, not {_listed(wanted)}"
    for name, (dtype, length) in wanted.items():
        array = encoded.arrays[name]
        if not isinstance(array, np.ndarray) or array.dtype != dtype:
            return f"array '{name}' is not of dtype {dtype}"
        if array.shape != (length,) or not array.flags.c_contiguous:
            return f"array '{name}' has shape {array.shape}, not ({length},)"
    return None


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(map(str, names))) or "none"
