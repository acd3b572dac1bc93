"""The vectors that kernels work on: on the host, contiguous, of a dtype they know.

What speaks DLPack on the host is read in place. What lies on a device is worked on
there by the rules that can (`device`), and brought home for the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aeros_aggregators.arrays import on_device
from aeros_core.arrays import Array, Vector
from aeros_core.numerics.dtypes import is_real

__all__ = ["addresses", "host", "is_real", "stored", "working"]


def working(dtype: str) -> str:
    """Return the dtype in which kernels see vectors stored as ``dtype``.

    float32 and float64 are worked on as they are, shorter floats as float32. Integers and
    truth values are added up by `integers`, and become float64 where they are tested alone.
    """
    if dtype in ("float32", "float64"):
        return dtype
    return "float32" if is_real(dtype) else "float64"


def host(vector: Vector, dtype: str) -> Array:
    """Return a vector as a contiguous numpy array of ``dtype``; a view where it can be."""
    if on_device.there(vector):
        vector = on_device.to_host(vector)
    array = vector if isinstance(vector, np.ndarray) else np.from_dlpack(vector)
    return np.ascontiguousarray(array, dtype=dtype)


def addresses(arrays: Sequence[Array]) -> Array:
    """Return where arrays lie, for kernels; they have to be kept until these are done."""
    return np.array([array.ctypes.data for array in arrays], np.int64)


def stored(array: Array, dtype: str) -> Array:
    """Return what a kernel made in the dtype it is stored in; integers to the nearest."""
    if array.dtype == dtype:
        return array
    with np.errstate(over="ignore"):  # a step beyond float16 is infinite, and ends the run
        return (array if is_real(dtype) else np.rint(array)).astype(dtype)
