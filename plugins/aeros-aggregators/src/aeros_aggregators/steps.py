"""The steps that end a round: from the sum of the updates to the next parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from aeros_aggregators import small, threads
from aeros_aggregators.coding import Code
from aeros_aggregators.kernels.arguments import Decay, Sum
from aeros_aggregators.rows import plain, pointers
from aeros_core.parameters import Array

__all__ = ["Step", "Term", "adagrad", "adam", "average", "momentum", "yogi"]


@dataclass(frozen=True, slots=True)
class Term:
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
        return self.out.size < small.SMALL

    def change(self) -> Array:
        """Return the mean change of the clients, float64, by numpy."""
        return small.change(self.sum(), self.base, 1.0 / self.weight, self.share)

    def sum(self) -> Array:
        """Return the whole sum, float64, by numpy."""
        total = np.zeros(self.out.size) if self.fresh else self.total.copy()
        small.fold(total, list(map(plain, self.arrays)), self.weights, fresh=False)
        return total

    def packed(self) -> Sum:
        """Return the sum as kernels take it."""
        weights = np.array(self.weights, np.float64)
        base = int(self.base.ctypes.data)
        like, table, scales, block = pointers(self.arrays, self.out)
        rows = (self.total, table, weights, self.fresh)
        alone = self.fresh and len(self.arrays) == 1 and not isinstance(self.arrays[0], Code)
        return Sum(*rows, base, self.weight, self.share, like, scales, block, alone)


Step = Callable[[Term], None]
"""Writes the next parameters of one vector."""


def average(term: Term) -> None:
    """Write the mean of the updates."""
    if term.small:
        small.mean(term.out, term.sum(), term.base, term.weight, 1.0 - term.share)
        return
    from aeros_aggregators.kernels import mean as kernels

    threads.spread(kernels.mean, term.out.size, term.out, term.packed())


def momentum(term: Term, velocity: Array, beta: float, rate: float) -> None:
    """Write ``rate`` of the momentum after it took up the change of the clients.

    Args:
        term: The sum of the updates.
        velocity: The momentum; changed in place.
        beta: Part of it that is kept.
        rate: Step along it.
    """
    if term.small:
        small.momentum(term.out, velocity, term.change(), term.base, beta, rate)
        return
    from aeros_aggregators.kernels import steps as kernels

    arguments = (term.out, velocity, term.packed(), beta, rate)
    threads.spread(kernels.momentum, term.out.size, *arguments)


def adam(term: Term, first: Array, second: Array, decay: Decay) -> None:
    """Write the step of Adam after the change of the clients; moments change in place."""
    _two_moments("adam", term, first, second, decay)


def yogi(term: Term, first: Array, second: Array, decay: Decay) -> None:
    """Write the step of Yogi after the change of the clients; moments change in place."""
    _two_moments("yogi", term, first, second, decay)


def _two_moments(name: str, term: Term, first: Array, second: Array, decay: Decay) -> None:
    scalar = term.out.dtype.type
    numbers = Decay(decay.beta1, decay.beta2, scalar(decay.rate), scalar(decay.tau))
    if term.small:
        getattr(small, name)(term.out, first, second, term.change(), term.base, *numbers)
        return
    from aeros_aggregators.kernels import steps as kernels

    arguments = (term.out, first, second, term.packed(), numbers)
    threads.spread(getattr(kernels, name), term.out.size, *arguments)


def adagrad(term: Term, second: Array, rate: float, tau: float) -> None:
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
        small.adagrad(term.out, second, term.change(), term.base, *numbers)
        return
    from aeros_aggregators.kernels import steps as kernels

    threads.spread(kernels.adagrad, term.out.size, term.out, second, term.packed(), *numbers)
