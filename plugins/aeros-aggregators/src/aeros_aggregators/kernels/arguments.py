"""What kernels take in one piece: plain data, so nothing here needs numba."""

from __future__ import annotations

from typing import NamedTuple

from aeros_core.arrays import Array

__all__ = ["Decay", "Sum"]


class Sum(NamedTuple):
    """A weighted sum of vectors, of which the last may not be in the total yet.

    Where all vectors come in one group, each is read once, the result is written once,
    and no sum passes through memory.

    Args:
        total: Sum of what was folded, float64.
        table: Addresses of the vectors that were not.
        weights: Their weights, float64.
        fresh: Whether what ``total`` holds is junk, as nothing was folded.
        base: Address of the parameters of this round.
        weight: What to divide the whole sum by.
        share: Part of the base that is in the quotient: 1 where all vectors are full
            parameters, 0 where all are differences.
        like: Of the dtype of the vectors in the table; of integers, where they are codes
            of floating-point numbers, see `kernels.codes`.
        scales: Addresses of the codes' scales; 0 where there are none.
        block: Elements that share a scale.
        alone: Whether the sum is of one vector alone, which a step can read in place.
    """

    total: Array
    table: Array
    weights: Array
    fresh: bool
    base: int
    weight: float
    share: float
    like: Array
    scales: Array
    block: int
    alone: bool


class Decay(NamedTuple):
    """The numbers of an optimizer with two moments.

    Args:
        beta1: Decay of the first moment.
        beta2: Decay of the second moment.
        rate: Learning rate, a scalar of the dtype of the parameters.
        tau: Added to the root of the second moment, of that dtype too.
        bounded: Whether the second moment changes by the squared change at most, as in Yogi;
            in Adam it decays.
    """

    beta1: float
    beta2: float
    rate: float
    tau: float
    bounded: bool
