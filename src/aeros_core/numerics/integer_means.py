"""Weighted means of integers and truth values: exact where updates agree.

Such vectors are never differences and pass through no codec. Their mean is taken of how far
each lies from the first one, in float64, and rounded half to even at the end; so values that
agree come back as they are whatever their size, and others are exact while weighted sums of
their distances stay below 2^53. Truth values count as 0 and 1: the majority by weight wins,
and a tie is False.
"""

from __future__ import annotations

import numpy as np

from aeros_core.arrays import Array

__all__ = ["IntegerMean", "distances", "moved"]


class IntegerMean:
    """The weighted mean of vectors of one integer or boolean dtype, taken as they arrive."""

    def __init__(self) -> None:
        self._first: Array | None = None
        self._total: Array = np.zeros(0)

    def add(self, vector: Array, weight: float) -> None:
        """Add ``weight`` times a vector."""
        if self._first is None:
            self._first, self._total = vector.copy(), np.zeros(vector.size)
            return
        self._total += weight * distances(vector, self._first)

    def mean(self, weight: float) -> Array:
        """Return the mean in the vectors' own dtype.

        Args:
            weight: Sum of the weights.

        Raises:
            ValueError: No vector was added.
        """
        if self._first is None:
            raise ValueError("a mean of no vector")
        return moved(self._first, self._total / weight)


def distances(vector: Array, origin: Array) -> Array:
    """Return how far a vector lies from another of its integer or boolean dtype, float64.

    Exact below 2^53, also where the difference does not fit the dtype.
    """
    if vector.itemsize < 8:
        return np.subtract(vector, origin, dtype=np.float64)
    above = vector >= origin
    one, other = vector.view(np.uint64), origin.view(np.uint64)
    lengths = np.where(above, one - other, other - one).astype(np.float64)
    return np.where(above, lengths, -lengths)


def moved(origin: Array, distance: Array) -> Array:
    """Return ``origin + distance`` rounded half to even, and held within the dtype's range.

    Args:
        origin: Integers or truth values.
        distance: float64, as `distances` returns them.
    """
    steps = _whole(origin, distance)
    if origin.dtype == bool:
        return np.asarray(origin + steps > 0.5)
    info = np.iinfo(origin.dtype)
    if origin.itemsize < 8:
        return np.asarray(np.clip(origin + steps, info.min, info.max), origin.dtype)
    here, up = origin.view(np.uint64), steps >= 0
    least, most = (np.array(end, origin.dtype).view(np.uint64) for end in (info.min, info.max))
    room = np.where(up, most - here, here - least)
    lengths = np.minimum(np.abs(steps), _MOST).astype(np.uint64)
    lengths = np.minimum(lengths, room)
    result: Array = np.where(up, here + lengths, here - lengths).view(origin.dtype)
    return result


_MOST = np.nextafter(2.0**64, 0.0)
"""The greatest float64 that is a uint64."""


def _whole(origin: Array, distance: Array) -> Array:
    """Return distances rounded so that ``origin + distance`` is rounded half to even."""
    low = np.floor(distance)
    part = distance - low
    odd = (np.mod(origin, 2) != 0) != (np.mod(low, 2.0) != 0.0)
    result: Array = low + ((part > 0.5) | ((part == 0.5) & odd))
    return result
