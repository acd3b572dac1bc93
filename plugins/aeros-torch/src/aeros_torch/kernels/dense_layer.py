"""Kernels of one dense layer: forward, backward, and the step on its weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeros_torch.kernels.gemm_tiles import accumulate, dots
from aeros_torch.kernels.jit import inner

__all__ = ["affine", "apply", "apply_plainly", "back", "renew"]

_dots_2_4, _dots_2_2 = dots(2, 4), dots(2, 2)
_add_4, _add_2, _add_1 = accumulate(2, 4), accumulate(2, 2), accumulate(2, 1)

_Floats = NDArray[np.float32]
_Word = int | np.int64
"""An address or a distance in bytes: numba would compile anew for an unsigned one."""


@inner
def affine(given: _Floats, matrix: _Floats, bias: _Floats, made: _Floats) -> None:
    """Write ``given @ matrix.T + bias`` to ``made``."""
    (count, inputs), outputs = given.shape, len(matrix)
    products = np.empty(8, np.float32)
    x, w, to, stride = given.ctypes.data, matrix.ctypes.data, products.ctypes.data, 4 * inputs
    for one in range(0, outputs, 2):
        other = min(one + 1, outputs - 1)
        row, step = w + one * stride, (other - one) * stride
        place = 0
        while place + 4 <= count:
            _dots_2_4(to, row, step, x + place * stride, stride, inputs)
            for k in range(4):
                made[place + k, one] = products[k] + bias[one]
                made[place + k, other] = products[4 + k] + bias[other]
            place += 4
        while place < count:
            after = min(place + 1, count - 1)
            _dots_2_2(to, row, step, x + place * stride, (after - place) * stride, inputs)
            made[place, one] = products[0] + bias[one]
            made[after, one] = products[1] + bias[one]
            made[place, other] = products[2] + bias[other]
            made[after, other] = products[3] + bias[other]
            place += 2


@inner
def _add_products(
    out: _Word, step: _Word, rows: _Floats, weights: _Word, by_out: _Word, by_row: _Word
) -> None:
    """Add weighted ``rows`` to the two rows at ``out``; steps and addresses in bytes."""
    count, inputs = rows.shape
    x, stride, place = np.int64(rows.ctypes.data), 4 * inputs, 0
    while place + 4 <= count:
        there = weights + place * by_row
        _add_4(out, step, x + place * stride, stride, there, by_out, by_row, inputs)
        place += 4
    if place + 2 <= count:
        there = weights + place * by_row
        _add_2(out, step, x + place * stride, stride, there, by_out, by_row, inputs)
        place += 2
    if place < count:
        there = weights + place * by_row
        _add_1(out, step, x + place * stride, stride, there, by_out, by_row, inputs)


@inner
def back(down: _Floats, matrix: _Floats, slope: _Floats) -> None:
    """Turn the slopes of a layer's activation into its gradient, ``down @ matrix * slope``."""
    outputs, inputs = matrix.shape
    product = np.zeros((2, inputs), np.float32)
    for one in range(0, len(down), 2):
        other = min(one + 1, len(down) - 1)
        product[:] = 0
        _add_products(
            np.int64(product.ctypes.data),
            4 * inputs,
            matrix,
            np.int64(down.ctypes.data) + one * 4 * outputs,
            (other - one) * 4 * outputs,
            np.int64(4),
        )
        for k in range(inputs):
            slope[one, k] *= product[0, k]
        if other > one:
            for k in range(inputs):
                slope[other, k] *= product[1, k]


@inner
def apply_plainly(down: _Floats, given: _Floats, matrix: _Floats, bias: _Floats, lr: float) -> None:
    """Take a step of plain SGD: walk over the weights once."""
    count, outputs = down.shape
    stride, rate = 4 * given.shape[1], np.float32(lr)
    taken = np.empty((count, outputs), np.float32)
    for place in range(count):
        for out in range(outputs):
            taken[place, out] = -rate * down[place, out]
            bias[out] += taken[place, out]
    for one in range(0, outputs, 2):
        step = min(one + 1, outputs - 1) - one
        there = np.int64(matrix.ctypes.data) + one * stride
        _add_products(
            there,
            step * stride,
            given,
            np.int64(taken.ctypes.data) + 4 * one,
            4 * step,
            4 * outputs,
        )


@inner
def apply(
    down: _Floats,
    given: _Floats,
    weights: _Floats,
    velocity: _Floats,
    start: _Floats,
    drift: _Floats,
    rule: tuple[float, float, float, bool, float, float],
    first: bool,
) -> None:
    """Take a step of SGD with all that goes with it, two rows of a layer at a time."""
    count, outputs = down.shape
    inputs = given.shape[1]
    gradient = np.zeros(2 * inputs, np.float32)
    for one in range(0, outputs, 2):
        step = min(one + 1, outputs - 1) - one
        gradient[:] = 0
        there = np.int64(down.ctypes.data) + 4 * one
        to = np.int64(gradient.ctypes.data)
        _add_products(to, step * 4 * inputs, given, there, step * 4, 4 * outputs)
        part = slice(one * inputs, (one + step + 1) * inputs)
        renew(weights[part], gradient, velocity[part], start[part], drift[part], rule, first)
    sums = np.zeros(outputs, np.float32)
    for place in range(count):
        for out in range(outputs):
            sums[out] += down[place, out]
    part = slice(outputs * inputs, len(weights))
    renew(weights[part], sums, velocity[part], start[part], drift[part], rule, first)


@inner
def renew(
    weights: _Floats,
    gradient: _Floats,
    velocity: _Floats,
    start: _Floats,
    drift: _Floats,
    rule: tuple[float, float, float, bool, float, float],
    first: bool,
) -> None:
    """Take a step with a gradient; plain SGD where there is no velocity, no drift if empty."""
    if len(velocity) == 0:
        lr = np.float32(rule[0])
        for k in range(len(weights)):
            weights[k] -= lr * gradient[k]
        return
    for k in range(len(drift)):
        gradient[k] += drift[k]
    _move(weights, gradient, velocity, start, rule, first)


@inner
def _move(
    weights: _Floats,
    gradient: _Floats,
    velocity: _Floats,
    start: _Floats,
    rule: tuple[float, float, float, bool, float, float],
    first: bool,
) -> None:
    """Do to some weights what ``torch.optim.SGD`` does, and the proximal pull."""
    lr, momentum = np.float32(rule[0]), np.float32(rule[1])
    kept = np.float32(1.0 if first or rule[1] == 0 else 1.0 - rule[2])
    decay, mu = np.float32(rule[4]), np.float32(rule[5])
    ahead, behind = (momentum, np.float32(1)) if rule[3] else (np.float32(1), np.float32(0))
    for k in range(len(weights)):
        slope = gradient[k] + mu * (weights[k] - start[k]) + decay * weights[k]
        moved = momentum * velocity[k] + kept * slope
        velocity[k] = moved
        weights[k] -= lr * (ahead * moved + behind * slope)
