"""Exact parts of counts: 0.29 of 100 is 29, though the product of floats is 28.999….

A share is taken for the decimal number that was typed, which is the shortest one that its
float stands for.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction

__all__ = ["at_least", "at_most", "exact", "nearest"]


@functools.lru_cache(maxsize=256)
def exact(share: float) -> Fraction:
    """Return a share as the decimal number that was typed.

    Raises:
        ValueError: It is not finite.
    """
    return Fraction(repr(float(share)))


def at_most(share: float, count: int) -> int:
    """Return how many whole ones fit into this share of ``count``."""
    return math.floor(exact(share) * count)


def at_least(share: float, count: int) -> int:
    """Return the fewest whole ones that make this share of ``count``."""
    return math.ceil(exact(share) * count)


def nearest(share: float, count: int) -> int:
    """Return this share of ``count`` rounded half to even."""
    return round(exact(share) * count)
