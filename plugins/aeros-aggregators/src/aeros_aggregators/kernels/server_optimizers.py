"""Steps of server optimizers, fused with the end of a weighted mean.

The change of the clients is ``sum / weight - share * base``. It and the moments are
computed in float64 and stored in the dtype of the parameters; the root and the division,
in which no digits cancel, are done in that dtype.
"""

from __future__ import annotations

import numpy as np

from aeros_aggregators.kernels.arguments import Decay, Sum
from aeros_aggregators.kernels.jit import kernel
from aeros_aggregators.kernels.mean import gather
from aeros_aggregators.kernels.memory import view
from aeros_core.arrays import Array

__all__ = ["adagrad", "adam", "momentum"]

BLOCK = 2048


@kernel
def _subtract(change: Array, before: Array, scale: float, share: float) -> None:
    for i in range(change.size):
        change[i] = scale * change[i] - share * before[i]


@kernel
def _change(change: Array, before: Array, sums: Sum, low: int) -> None:
    """Write the change of the clients, from element ``low`` on."""
    gather(change, sums, low)
    _subtract(change, before, 1.0 / sums.weight, sums.share)


@kernel
def _gain(
    out: Array, velocity: Array, change: Array, before: Array, beta: float, rate: float
) -> None:
    for i in range(out.size):
        new = beta * velocity[i] + change[i]
        velocity[i] = new
        out[i] = before[i] + rate * new


@kernel
def momentum(
    out: Array, velocity: Array, sums: Sum, beta: float, rate: float, start: int, stop: int
) -> None:
    """Add the change to ``beta * velocity``, and ``rate`` of that to the base."""
    buffer = np.empty(BLOCK, np.float64)
    for low in range(start, stop, BLOCK):
        n = min(BLOCK, stop - low)
        high = low + n
        change, before = buffer[:n], view(sums.base, low, n, out)
        _change(change, before, sums, low)
        _gain(out[low:high], velocity[low:high], change, before, beta, rate)


@kernel
def _move(out: Array, before: Array, first: Array, second: Array, rate: float, tau: float) -> None:
    for i in range(out.size):
        out[i] = before[i] + rate * first[i] / (np.sqrt(second[i]) + tau)


@kernel
def _walk(
    out: Array,
    before: Array,
    first: Array,
    second: Array,
    total: Array,
    times: float,
    sums: Sum,
    decay: Decay,
) -> None:
    scale, share, beta1, beta2 = 1.0 / sums.weight, sums.share, decay.beta1, decay.beta2
    bounded = decay.bounded  # the same for all, so that the compiler makes two loops of it
    for i in range(out.size):  # one loop: each number is in a register from sum to step
        change = scale * (times * total[i]) - share * before[i]
        old, square = np.float64(second[i]), change * change
        first[i] = beta1 * first[i] + (1.0 - beta1) * change
        moment, towards = first[i], (1.0 - beta2) * square
        if bounded:
            second[i] = old - towards if old > square else old + towards if old < square else old
        else:
            second[i] = beta2 * old + towards
        out[i] = before[i] + decay.rate * moment / (np.sqrt(second[i]) + decay.tau)


@kernel
def _add_squared(moment: Array, value: Array) -> None:
    for i in range(moment.size):
        moment[i] = moment[i] + value[i] * value[i]


@kernel
def adam(
    out: Array, first: Array, second: Array, sums: Sum, decay: Decay, start: int, stop: int
) -> None:
    """Move both moments towards the change, and the base along them; Yogi if ``bounded``."""
    buffer = np.empty(BLOCK, np.float64)
    for low in range(start, stop, BLOCK):
        n = min(BLOCK, stop - low)
        high = low + n
        after, before = out[low:high], view(sums.base, low, n, out)
        one, two = first[low:high], second[low:high]
        if sums.alone:
            vector = view(sums.table[0], low, n, out)
            _walk(after, before, one, two, vector, sums.weights[0], sums, decay)
        else:
            gather(buffer[:n], sums, low)
            _walk(after, before, one, two, buffer[:n], 1.0, sums, decay)


@kernel
def adagrad(
    out: Array, second: Array, sums: Sum, rate: float, tau: float, start: int, stop: int
) -> None:
    """Add the squared change to ``second``, and to the base the change over its root."""
    buffer, stored = np.empty(BLOCK, np.float64), np.empty(BLOCK, out.dtype)
    for low in range(start, stop, BLOCK):
        n = min(BLOCK, stop - low)
        high = low + n
        change, before = buffer[:n], view(sums.base, low, n, out)
        _change(change, before, sums, low)
        _add_squared(second[low:high], change)
        for i in range(n):
            stored[i] = change[i]
        _move(out[low:high], before, stored[:n], second[low:high], rate, tau)
