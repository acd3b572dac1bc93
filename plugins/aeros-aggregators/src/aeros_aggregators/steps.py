"""The steps that end a round: from the sum of the updates to the next parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aeros_aggregators import small, threads
from aeros_core.parameters import Array

__all__ = ["Step", "Term", "adam", "average", "momentum"]


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
    """

    dtype: str
    out: Array
    base: Array
    total: Array
    weight: float
    share: float

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
        return small.change(self.total, self.base, self.weight, self.share)


Step = Callable[[Term], None]
"""Writes the next parameters of one vector."""


def average(term: Term) -> None:
    """Write the mean of the updates."""
    t, kept = term, 1.0 - term.share
    if t.small:
        small.mean(t.out, t.total, t.base, t.weight, kept)
        return
    from aeros_aggregators.kernels import mean as kernels

    threads.spread(kernels.mean, t.out.size, t.out, t.total, t.address, t.weight, kept)


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

    sums = (t.total, t.address, t.weight, t.share)
    threads.spread(kernels.momentum, t.out.size, t.out, velocity, *sums, beta, rate)


def adam(
    term: Term,
    first: Array,
    second: Array,
    beta1: float,
    beta2: float,
    rate: float,
    tau: float,
) -> None:
    """Write the step of Adam after the change of the clients.

    Args:
        term: The sum of the updates.
        first: First moment; changed in place.
        second: Second moment; changed in place.
        beta1: Decay of the first moment.
        beta2: Decay of the second moment.
        rate: Learning rate.
        tau: Added to the root of the second moment.
    """
    t = term
    if t.small:
        small.adam(t.out, first, second, t.change(), t.base, beta1, beta2, rate, tau)
        return
    from aeros_aggregators.kernels import steps as kernels

    sums = (t.total, t.address, t.weight, t.share)
    options = (beta1, beta2, rate, tau)
    threads.spread(kernels.adam, t.out.size, t.out, first, second, *sums, *options)
