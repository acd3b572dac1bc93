"""The steps that end a round: from the sum of the updates to the next parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from aeros_aggregators.arrays import parallel
from aeros_aggregators.arrays.encoded_vectors import Code
from aeros_aggregators.kernels import numpy_kernels
from aeros_aggregators.kernels.arguments import Decay, Sum
from aeros_aggregators.reduction.rows import plain, pointers
from aeros_core.arrays import Array

__all__ = ["ServerStep", "Step", "adagrad", "adam", "average", "momentum"]


@dataclass(frozen=True, slots=True)
class ServerStep:
    """One vector's weighted sum, and where a step from ``base`` goes.

    Args:
        dtype: Dtype of the vector as it is stored.
        out: Where to write the next parameters.
        base: The parameters of this round.
        total: Weighted sum of the updates but the last, float64.
        arrays: The last updates: vectors, or codes where they are long.
        weights: Their weights.
        fresh: Whether there were no others, so that ``total`` holds junk.
        weight: What to divide the sum by.
        share: Part of ``base`` that is in the quotient: 1 where all updates are full
            parameters, 0 where all are differences.
    """

    dtype: str
    out: Array
    base: Array
    total: Array
    arrays: Sequence[Array | Code]
    weights: Sequence[float]
    fresh: bool
    weight: float
    share: float

    @property
    def small(self) -> bool:
        """Whether the vectors are too short for kernels."""
        return self.out.size < numpy_kernels.SMALL

    def change(self) -> Array:
        """Return the mean change of the clients, float64, by numpy."""
        return numpy_kernels.change(self.sum(), self.base, 1.0 / self.weight, self.share)

    def sum(self) -> Array:
        """Return the whole sum, float64, by numpy."""
        total = np.zeros(self.out.size) if self.fresh else self.total.copy()
        numpy_kernels.fold(total, list(map(plain, self.arrays)), self.weights, fresh=False)
        return total

    def packed(self) -> Sum:
        """Return the sum as kernels take it."""
        weights = np.array(self.weights, np.float64)
        base = int(self.base.ctypes.data)
        like, table, scales, block = pointers(self.arrays, self.out)
        rows = (self.total, table, weights, self.fresh)
        alone = self.fresh and len(self.arrays) == 1 and not isinstance(self.arrays[0], Code)
        return Sum(*rows, base, self.weight, self.share, like, scales, block, alone)


Step = Callable[[ServerStep], None]
"""Writes the next parameters of one vector."""


def average(term: ServerStep) -> None:
    """Write the mean of the updates."""
    if term.small:
        numpy_kernels.mean(term.out, term.sum(), term.base, term.weight, 1.0 - term.share)
        return
    from aeros_aggregators.kernels import mean as kernels

    parallel.spread(kernels.mean, term.out.size, term.out, term.packed())


def momentum(term: ServerStep, velocity: Array, beta: float, rate: float) -> None:
    """Write ``rate`` of the momentum after it took up the change of the clients.

    Args:
        term: The sum of the updates.
        velocity: The momentum; changed in place.
        beta: Part of it that is kept.
        rate: Step along it.
    """
    if term.small:
        numpy_kernels.momentum(term.out, velocity, term.change(), term.base, beta, rate)
        return
    from aeros_aggregators.kernels import server_optimizers as kernels

    arguments = (term.out, velocity, term.packed(), beta, rate)
    parallel.spread(kernels.momentum, term.out.size, *arguments)


def adam(term: ServerStep, first: Array, second: Array, decay: Decay) -> None:
    """Write the step of Adam, or Yogi, after the change of the clients.

    Args:
        term: The sum of the updates.
        first: First moment; changed in place, as is ``second``.
        second: Second moment.
        decay: Numbers of the optimizer, and which of the two it is.
    """
    scalar = term.out.dtype.type
    numbers = decay._replace(rate=scalar(decay.rate), tau=scalar(decay.tau))
    if term.small:
        numpy_kernels.adam(term.out, first, second, term.change(), term.base, numbers)
        return
    from aeros_aggregators.kernels import server_optimizers as kernels

    parallel.spread(kernels.adam, term.out.size, term.out, first, second, term.packed(), numbers)


def adagrad(term: ServerStep, second: Array, rate: float, tau: float) -> None:
    """Write the step of Adagrad after the change of the clients.

    Args:
        term: The sum of the updates.
        second: Sum of the squared changes; changed in place.
        rate: Learning rate.
        tau: Added to the root of ``second``.
    """
    scalar = term.out.dtype.type
    numbers = (scalar(rate), scalar(tau))
    if term.small:
        numpy_kernels.adagrad(term.out, second, term.change(), term.base, *numbers)
        return
    from aeros_aggregators.kernels import server_optimizers as kernels

    parallel.spread(kernels.adagrad, term.out.size, term.out, second, term.packed(), *numbers)
