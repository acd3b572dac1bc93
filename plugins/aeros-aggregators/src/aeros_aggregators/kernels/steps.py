"""Steps of server optimizers, fused with the scaling that ends a weighted mean.

``change = scale * sums - share * base`` is the mean change of the clients: ``scale`` is
one over the weight, ``share`` the part of it that came as full parameters. The change
and the moments are computed in float64 and stored in the dtype of the parameters; the
root and the division, in which no digits cancel, are done in that dtype.
"""

from __future__ import annotations

import numpy as np

from aeros_aggregators.kernels.compiling import kernel
from aeros_aggregators.kernels.memory import view
from aeros_core.parameters import Array

__all__ = ["adagrad", "adam", "momentum", "yogi"]

BLOCK = 2048


@kernel
def _change(change: Array, sums: Array, before: Array, scale: float, share: float) -> None:
    for i in range(change.size):
        change[i] = scale * sums[i] - share * before[i]


@kernel
def momentum(
    out: Array,
    velocity: Array,
    sums: Array,
    base: int,
    scale: float,
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
        new = beta * speed[i] + (scale * total[i] - share * old)
        speed[i] = new
        result[i] = old + rate * new


@kernel
def _move(out: Array, before: Array, first: Array, second: Array, rate: float, tau: float) -> None:
    for i in range(out.size):
        out[i] = before[i] + rate * first[i] / (np.sqrt(second[i]) + tau)


@kernel
def _decay(moment: Array, value: Array, beta: float) -> None:
    for i in range(moment.size):
        moment[i] = beta * moment[i] + (1.0 - beta) * value[i]


@kernel
def _decay_squared(moment: Array, value: Array, beta: float) -> None:
    for i in range(moment.size):
        moment[i] = beta * moment[i] + (1.0 - beta) * (value[i] * value[i])


@kernel
def _approach_squared(moment: Array, value: Array, beta: float) -> None:
    for i in range(moment.size):
        old, square = np.float64(moment[i]), value[i] * value[i]
        moment[i] = old - (1.0 - beta) * square * np.sign(old - square)


@kernel
def _add_squared(moment: Array, value: Array) -> None:
    for i in range(moment.size):
        moment[i] = moment[i] + value[i] * value[i]


@kernel
def adam(
    out: Array,
    first: Array,
    second: Array,
    sums: Array,
    base: int,
    scale: float,
    share: float,
    beta1: float,
    beta2: float,
    rate: float,
    tau: float,
    start: int,
    stop: int,
) -> None:
    """Move both moments towards the change, and ``base`` along them.

    ``rate`` and ``tau`` are scalars of the dtype of ``out``.
    """
    buffer = np.empty(BLOCK, np.float64)
    for low in range(start, stop, BLOCK):
        n = min(BLOCK, stop - low)
        high = low + n
        change, before = buffer[:n], view(base, low, n, out)
        _change(change, sums[low:high], before, scale, share)
        _decay(first[low:high], change, beta1)
        _decay_squared(second[low:high], change, beta2)
        _move(out[low:high], before, first[low:high], second[low:high], rate, tau)


@kernel
def yogi(
    out: Array,
    first: Array,
    second: Array,
    sums: Array,
    base: int,
    scale: float,
    share: float,
    beta1: float,
    beta2: float,
    rate: float,
    tau: float,
    start: int,
    stop: int,
) -> None:
    """Do as `adam`, but move the second moment by no more than the squared change."""
    buffer = np.empty(BLOCK, np.float64)
    for low in range(start, stop, BLOCK):
        n = min(BLOCK, stop - low)
        high = low + n
        change, before = buffer[:n], view(base, low, n, out)
        _change(change, sums[low:high], before, scale, share)
        _decay(first[low:high], change, beta1)
        _approach_squared(second[low:high], change, beta2)
        _move(out[low:high], before, first[low:high], second[low:high], rate, tau)


@kernel
def adagrad(
    out: Array,
    second: Array,
    sums: Array,
    base: int,
    scale: float,
    share: float,
    rate: float,
    tau: float,
    start: int,
    stop: int,
) -> None:
    """Add the squared change to ``second``, and to ``base`` the change over its root."""
    buffer, stored = np.empty(BLOCK, np.float64), np.empty(BLOCK, out.dtype)
    for low in range(start, stop, BLOCK):
        n = min(BLOCK, stop - low)
        high = low + n
        change, before = buffer[:n], view(base, low, n, out)
        _change(change, sums[low:high], before, scale, share)
        _add_squared(second[low:high], change)
        stored[:n] = change
        _move(out[low:high], before, stored[:n], second[low:high], rate, tau)
