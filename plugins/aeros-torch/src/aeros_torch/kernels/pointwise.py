"""Kernels of what follows a layer: activations, losses and measures."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from aeros_torch.kernels.jit import inner

__all__ = ["ACTIVATIONS", "activate", "bent", "cross_entropy", "errors", "mean_square", "right"]

ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "silu", "elu", "leaky_relu")
"""Names of the activations, in the order of their numbers here."""

_Floats = NDArray[np.float32]
_Doubles = NDArray[np.float64]
_Numbers = NDArray[np.int64]


@inner
def activate(values: _Floats, slopes: _Floats, activation: int) -> None:
    """Apply an activation in place, and keep its slope at each value."""
    flat, slope = values.reshape(-1), slopes.reshape(-1)
    if activation == 0:
        for k in range(len(flat)):
            positive = not flat[k] <= 0  # NaN stays NaN
            slope[k] = np.float32(positive)
            flat[k] = flat[k] if positive else np.float32(0)
        return
    for k in range(len(flat)):
        flat[k], slope[k] = bent(flat[k], activation)


@inner
def bent(x: np.float32, activation: int) -> tuple[np.float32, np.float32]:
    """Return the value and the slope of an activation, as torch defines it by default."""
    one = np.float32(1)
    if activation == 1:
        y = np.float32(math.tanh(x))
        return y, one - y * y
    if activation == 5:
        y = x if x > 0 else np.float32(math.expm1(x))
        return y, one if x > 0 else y + one
    if activation == 6:
        slope = one if x > 0 else np.float32(0.01)
        return slope * x, slope
    if activation == 3:
        below = np.float32(0.5) * (one + np.float32(math.erf(x * np.float32(math.sqrt(0.5)))))
        density = np.float32(math.exp(np.float32(-0.5) * x * x) / math.sqrt(2 * math.pi))
        return x * below, below + x * density
    s = one / (one + np.float32(math.exp(-x)))
    if activation == 2:
        return s, s * (one - s)
    return x * s, s * (one + x * (one - s))


@inner
def cross_entropy(output: _Floats, labels: _Numbers, rows: _Numbers) -> float:
    """Turn scores into the gradient of the mean loss; return that loss."""
    count, classes = output.shape
    part, lost = np.float32(1.0 / count), 0.0
    for place in range(count):
        scores, label = output[place], labels[rows[place]]
        highest = scores[0]
        for k in range(1, classes):
            highest = max(highest, scores[k])
        meant, total = scores[label] - highest, np.float32(0)
        for k in range(classes):
            scores[k] = math.exp(scores[k] - highest)
            total += scores[k]
        for k in range(classes):
            scores[k] *= part / total
        scores[label] -= part
        lost += math.log(total) - meant
    return float(lost / count)


@inner
def mean_square(output: _Floats, values: _Floats, rows: _Numbers) -> float:
    """Turn answers into the gradient of the mean loss; return that loss."""
    count, width = output.shape
    twice, lost = np.float32(2.0 / (count * width)), 0.0
    for place in range(count):
        for k in range(width):
            error = output[place, k] - values[rows[place], k]
            output[place, k] = twice * error
            lost += error * error
    return float(lost / (count * width))


@inner
def right(output: _Floats, labels: _Numbers, rows: _Numbers) -> int:
    """Return how many rows have their highest score at their label."""
    right = 0
    for place in range(len(rows)):
        right += np.argmax(output[place]) == labels[rows[place]]
    return right


@inner
def errors(output: _Floats, values: _Floats, rows: _Numbers, sums: _Doubles) -> None:
    """Add absolute and squared errors to ``sums[1:]``, each the mean of a row."""
    count, width = output.shape
    for place in range(count):
        for k in range(width):
            error = np.float64(output[place, k] - values[rows[place], k])
            sums[1] += abs(error) / width
            sums[2] += error * error / width
