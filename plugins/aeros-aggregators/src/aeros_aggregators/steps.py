"""The steps that end a round: from the sum of the updates to the next parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from aeros_aggregators import small, threads
from aeros_aggregators.vectors import addresses
from aeros_core.parameters import Array

__all__ = ["Decay", "Step", "Term", "adagrad", "adam", "average", "momentum", "yogi"]


@dataclass(frozen=True, slots=True)
class Term:
    """One vector's weighted sum, and where a step from ``base`` goes.

    Args:
        dtype: Dtype of the vector as it is stored.
        out: Where to write the next parameters.
        base: The parameters of this round.
        total: Weighted sum of the updates, float64.
        weight: What to divide it by.
        share: Part of ``base`` that is in ``total / weight``: 1 where all updates are
            full parameters, 0 where all are differences.
        group: The last arrivals, and their weights, which are not in ``total`` yet.
        fresh: Whether what ``total`` holds is junk, as there were no others.
    """

    dtype: str
    out: Array
    base: Array
    total: Array
    weight: float
    share: float
    group: tuple[Sequence[Array], Sequence[float]] = ((), ())
    fresh: bool = False

    @property
    def small(self) -> bool:
        """Whether the vectors are too short for kernels."""
        return self.out.size < small.SMALL

    @property
    def address(self) -> int:
        """Where ``base`` lies."""
        return int(self.base.ctypes.data)

    def change(self) -> Array:
        """Return the mean change of the clients, float64."""
        return small.change(self.total, self.base, 1.0 / self.weight, self.share)


Step = Callable[[Term], None]
"""Writes the next parameters of one vector; but for `average`, the group is empty."""


def average(term: Term) -> None:
    """Write the mean of the updates."""
    t, (arrays, weights), kept = term, term.group, 1.0 - term.share
    if t.small:
        small.mean(t.out, t.total, arrays, weights, t.fresh, t.base, t.weight, kept)
        return
    from aeros_aggregators.kernels import mean as kernels

    sums = (t.total, addresses(arrays), np.array(weights, np.float64), t.fresh)
    threads.spread(kernels.mean, t.out.size, t.out, *sums, t.address, t.weight, kept)


def momentum(term: Term, velocity: Array, beta: float, rate: float) -> None:
    """Write ``rate`` of the momentum after it took up the change of the clients.

    Args:
        term: The sum of the updates.
        velocity: The momentum; changed in place.
        beta: Part of it that is kept.
        rate: Step along it.
    """
    t = term
    if t.small:
        small.momentum(t.out, velocity, t.change(), t.base, beta, rate)
        return
    from aeros_aggregators.kernels import steps as kernels

    sums = (t.total, t.address, 1.0 / t.weight, t.share)
    threads.spread(kernels.momentum, t.out.size, t.out, velocity, *sums, beta, rate)


@dataclass(frozen=True, slots=True)
class Decay:
    """The numbers of an optimizer with two moments.

    Args:
        beta1: Decay of the first moment.
        beta2: Decay of the second moment.
        rate: Learning rate.
        tau: Added to the root of the second moment.
    """

    beta1: float
    beta2: float
    rate: float
    tau: float


def adam(term: Term, first: Array, second: Array, decay: Decay) -> None:
    """Write the step of Adam after the change of the clients; moments change in place."""
    _two_moments("adam", term, first, second, decay)


def yogi(term: Term, first: Array, second: Array, decay: Decay) -> None:
    """Write the step of Yogi after the change of the clients; moments change in place."""
    _two_moments("yogi", term, first, second, decay)


def _two_moments(name: str, term: Term, first: Array, second: Array, decay: Decay) -> None:
    t, scalar = term, term.out.dtype.type
    numbers = (decay.beta1, decay.beta2, scalar(decay.rate), scalar(decay.tau))
    if t.small:
        getattr(small, name)(t.out, first, second, t.change(), t.base, *numbers)
        return
    from aeros_aggregators.kernels import steps as kernels

    kernel = getattr(kernels, name)
    sums = (t.total, t.address, 1.0 / t.weight, t.share)
    threads.spread(kernel, t.out.size, t.out, first, second, *sums, *numbers)


def adagrad(term: Term, second: Array, rate: float, tau: float) -> None:
    """Write the step of Adagrad after the change of the clients.

    Args:
        term: The sum of the updates.
        second: Sum of the squared changes; changed in place.
        rate: Learning rate.
        tau: Added to the root of ``second``.
    """
    t, scalar = term, term.out.dtype.type
    numbers = (scalar(rate), scalar(tau))
    if t.small:
        small.adagrad(t.out, second, t.change(), t.base, *numbers)
        return
    from aeros_aggregators.kernels import steps as kernels

    sums = (t.total, t.address, 1.0 / t.weight, t.share)
    threads.spread(kernels.adagrad, t.out.size, t.out, second, *sums, *numbers)
