"""Count, mean and sum of squared deviations, added up exactly enough.

Source: T. F. Chan, G. H. Golub, R. J. LeVeque: Updating Formulae and a Pairwise Algorithm
for Computing Sample Variances, 1979 (equation 2.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np
from numpy.typing import NDArray

from aeros_core.arrays import Array

__all__ = ["Moments"]

_ROWS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Moments of some values, one of each for every feature.

    Args:
        count: Number of values of a feature.
        mean: Their means, float64.
        squares: Their sums of squared deviations from the mean, float64.
    """

    count: int
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def of(cls, values: Array, *, whole: bool) -> Moments:
        """Return the moments of rows, block by block; ``whole``: of all features as one."""
        width = prod(values.shape[1:])
        flat = values.reshape(len(values), width)
        features = 1 if whole else width
        start = cls(0, np.zeros(features), np.zeros(features))
        blocks = (flat[i : i + _ROWS] for i in range(0, len(flat), _ROWS))
        return reduce(cls.merge, (cls._block(b.reshape(-1, features)) for b in blocks), start)

    @classmethod
    def _block(cls, rows: Array) -> Moments:
        values = rows.astype(np.float64)
        mean = values.mean(axis=0)
        return cls(len(values), mean, np.square(values - mean).sum(axis=0))

    @classmethod
    def total(cls, parts: Iterable[Moments]) -> Moments:
        """Merge parts; the same bits in whatever order they come."""
        return reduce(cls.merge, sorted(parts, key=cls._key), cls(0, np.zeros(1), np.zeros(1)))

    def _key(self) -> tuple[int, bytes, bytes]:
        return self.count, self.mean.tobytes(), self.squares.tobytes()

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both together."""
        if not self.count or not other.count:
            return self if self.count else other
        count = self.count + other.count
        gap = other.mean - self.mean
        squares = self.squares + other.squares + gap**2 * (self.count * other.count / count)
        return Moments(count, self.mean + gap * (other.count / count), squares)

    @property
    def deviation(self) -> NDArray[np.float64]:
        """Standard deviations (dividing by the count); 1 where all values are equal.

        Equal up to rounding: the bound is the one of scikit-learn's StandardScaler.
        """
        variance = self.squares / self.count
        eps = np.finfo(np.float64).eps
        bound = self.count * eps * variance + (self.count * self.mean * eps) ** 2
        return np.where(variance <= bound, 1.0, np.sqrt(variance))
