"""Steps of server optimizers, fused with the division that ends a weighted mean.

``change = sums / weight - share * base`` is the mean change of the clients: ``share`` is
the part of the weight that came as full parameters. Arithmetic is float64, moments are
stored in the dtype of the parameters.
"""

from __future__ import annotations

import numpy as np

from aeros_aggregators.kernels.compiling import kernel
from aeros_aggregators.kernels.memory import view
from aeros_core.parameters import Array

__all__ = ["adam", "momentum"]

BLOCK = 2048


@kernel
def _change(change: Array, sums: Array, before: Array, weight: float, share: float) -> None:
    for i in range(change.size):
        change[i] = sums[i] / weight - share * before[i]


@kernel
def momentum(
    out: Array,
    velocity: Array,
    sums: Array,
    base: int,
    weight: float,
    share: float,
    beta: float,
    rate: float,
    start: int,
    stop: int,
) -> None:
    """Add the change to ``beta * velocity``, and ``rate`` of that to ``base``."""
    n = stop - start
    result, speed, total = out[start:stop], velocity[start:stop], sums[start:stop]
    before = view(base, start, n, out)
    for i in range(n):
        old = np.float64(before[i])
        new = beta * speed[i] + (total[i] / weight - share * old)
        speed[i] = new
        result[i] = old + rate * new


@kernel
def _move(out: Array, before: Array, first: Array, second: Array, rate: float, tau: float) -> None:
    for i in range(out.size):
        out[i] = before[i] + rate * first[i] / (np.sqrt(np.float64(second[i])) + tau)


@kernel
def _decay(moment: Array, value: Array, beta: float) -> None:
    for i in range(moment.size):
        moment[i] = beta * moment[i] + (1.0 - beta) * value[i]


@kernel
def _decay_squared(moment: Array, value: Array, beta: float) -> None:
    for i in range(moment.size):
        moment[i] = beta * moment[i] + (1.0 - beta) * (value[i] * value[i])


@kernel
def adam(
    out: Array,
    first: Array,
    second: Array,
    sums: Array,
    base: int,
    weight: float,
    share: float,
    beta1: float,
    beta2: float,
    rate: float,
    tau: float,
    start: int,
    stop: int,
) -> None:
    """Move both moments towards the change, and ``base`` along them."""
    buffer = np.empty(BLOCK, np.float64)
    for low in range(start, stop, BLOCK):
        n = min(BLOCK, stop - low)
        high = low + n
        change, before = buffer[:n], view(base, low, n, out)
        _change(change, sums[low:high], before, weight, share)
        _decay(first[low:high], change, beta1)
        _decay_squared(second[low:high], change, beta2)
        _move(out[low:high], before, first[low:high], second[low:high], rate, tau)
