"""Arrays on any device, vectors, and the pieces in which vectors are hashed and stored."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

__all__ = ["PIECE", "Array", "Vector", "on_host", "pieces"]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

PIECE = 16 * 2**20
"""Bytes of a piece of a vector: the unit in which parameters are hashed and stored."""

Vector: TypeAlias = Any
"""A 1-D array on any device: numpy, or whatever speaks DLPack."""


def on_host(vector: Vector) -> Array:
    """Return a vector as a numpy array: itself, read in place, or copied from a device."""
    home = vector.cpu() if hasattr(vector, "cpu") else vector
    if hasattr(home, "__array__") or not hasattr(home, "__dlpack__"):
        return np.asarray(home)
    return np.from_dlpack(home)


def pieces(vector: Vector) -> list[memoryview]:
    """Return the bytes of a host vector in pieces of `PIECE`, the last one shorter."""
    whole = np.ascontiguousarray(vector).view(np.uint8).data
    return [whole[start : start + PIECE] for start in range(0, len(whole), PIECE)]
