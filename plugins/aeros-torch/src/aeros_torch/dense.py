"""Kernels that train and measure stacks of dense layers on float32 vectors.

A stack is a float32 vector as `Parameters` lay it out, weight (outputs, inputs) and bias of
each layer in turn, and ``widths``: inputs, every hidden layer, outputs. With small batches
time goes into walking over the weights, so a step walks twice: forward, and once to
compute the gradient and apply it in place; the gradient itself is never stored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeros_torch.compiling import inner, kernel
from aeros_torch.layers import affine, apply, apply_plainly, back
from aeros_torch.pointwise import activate, cross_entropy, errors, mean_square, right

__all__ = ["CROSS_ENTROPY", "MSE", "measure", "train"]

CROSS_ENTROPY, MSE = 0, 1

_Floats = NDArray[np.float32]
_Doubles = NDArray[np.float64]
_Numbers = NDArray[np.int64]


@kernel
def train(
    vectors: _Floats,
    losses: _Doubles,
    start: _Floats,
    drifts: _Floats,
    widths: _Numbers,
    kinds: tuple[int, int],
    columns: tuple[_Floats, _Numbers, _Floats],
    order: _Numbers,
    counts: _Numbers,
    length: tuple[int, int, int],
    rule: tuple[float, float, float, bool, float, float],
) -> None:
    """Train clients one after the other, each from ``start`` into its own row.

    Args:
        vectors: Filled with the clients' parameters (clients, size).
        losses: Filled with the mean loss of each client's examples as it was trained on.
        start: Parameters to start from (size,).
        drifts: Added to every gradient of each client (clients, size); or (0, size).
        widths: Inputs, width of each hidden layer, outputs.
        kinds: Number of the activation, number of the loss.
        columns: Features (rows, inputs); labels (rows,) for cross-entropy; values (rows,
            outputs) for mse.
        order: Rows in the order of training, all epochs of a client one behind the
            other, and the clients one behind the other.
        counts: Examples of each client.
        length: Epochs; examples in a batch; batches in all, or -1 for all of them.
        rule: Learning rate, momentum, dampening, nesterov, weight decay, proximal mu.
    """
    epochs, size, steps = length
    scratch = _scratch(widths, min(size, counts.max()))
    more = _has_more(rule) or len(drifts) > 0
    velocity, drift = np.zeros(len(start) if more else 0, np.float32), np.empty(0, np.float32)
    first = 0
    for client in range(len(counts)):
        count = counts[client]
        weights = vectors[client]
        for k in range(len(start)):
            weights[k] = start[k]
        for k in range(len(velocity)):
            velocity[k] = 0
        if len(drifts) > 0:
            drift = drifts[client]
        lost, seen, taken = 0.0, 0, 0
        for epoch in range(epochs):
            for begin in range(first + epoch * count, first + (epoch + 1) * count, size):
                if taken == steps:
                    break
                rows = order[begin : min(begin + size, first + (epoch + 1) * count)]
                lost += len(rows) * _step(
                    weights,
                    velocity,
                    start,
                    drift,
                    widths,
                    kinds,
                    columns,
                    rows,
                    rule,
                    taken == 0,
                    scratch,
                )
                seen += len(rows)
                taken += 1
        losses[client] = lost / seen
        first += epochs * count


@kernel
def measure(
    sums: _Doubles,
    weights: _Floats,
    widths: _Numbers,
    kinds: tuple[int, int],
    columns: tuple[_Floats, _Numbers, _Floats],
    rows: _Numbers,
    size: int,
) -> None:
    """Add up what an evaluation measures over some rows.

    Args:
        sums: Added to: the loss; right answers, or absolute errors; squared errors.
        weights: The parameters (size,).
        widths: As in `train`.
        kinds: As in `train`.
        columns: As in `train`.
        rows: Which rows.
        size: Rows to work on at once.
    """
    values, slopes, offsets = _scratch(widths, min(size, len(rows)))
    last = len(widths) - 1
    for begin in range(0, len(rows), size):
        some = rows[begin : begin + size]
        _take(columns[0], some, _block(values, offsets, widths, np.int64(0), len(some)))
        _forward(weights, widths, kinds[0], len(some), values, slopes, offsets)
        output = _block(values, offsets, widths, last, len(some))
        if kinds[1] == CROSS_ENTROPY:
            sums[1] += right(output, columns[1], some)
        else:
            errors(output, columns[2], some, sums)
        sums[0] += len(some) * _descent_of(output, kinds[1], columns, some)


@inner
def _step(
    weights: _Floats,
    velocity: _Floats,
    start: _Floats,
    drift: _Floats,
    widths: _Numbers,
    kinds: tuple[int, int],
    columns: tuple[_Floats, _Numbers, _Floats],
    rows: _Numbers,
    rule: tuple[float, float, float, bool, float, float],
    first: bool,
    scratch: tuple[_Floats, _Floats, _Numbers],
) -> float:
    """Take one step on a batch; return its mean loss before it."""
    values, slopes, offsets = scratch
    count, last = len(rows), len(widths) - 1
    _take(columns[0], rows, _block(values, offsets, widths, np.int64(0), count))
    _forward(weights, widths, kinds[0], count, values, slopes, offsets)
    down = _block(values, offsets, widths, last, count)
    lost = _descent_of(down, kinds[1], columns, rows)
    end = len(weights)
    for layer in range(last - 1, -1, -1):
        inputs, outputs = widths[layer], widths[layer + 1]
        begin = end - outputs * (inputs + 1)
        matrix = weights[begin : end - outputs].reshape(outputs, inputs)
        given = _block(values, offsets, widths, layer, count)
        slope = _block(slopes, offsets, widths, layer, count)
        if layer > 0:
            back(down, matrix, slope)
        if len(velocity) > 0:
            part = slice(begin, end)
            apply(down, given, weights[part], velocity[part], start[part], drift[part], rule, first)
        else:
            apply_plainly(down, given, matrix, weights[end - outputs : end], rule[0])
        down, end = slope, begin
    return lost


@inner
def _has_more(rule: tuple[float, float, float, bool, float, float]) -> bool:
    """Tell whether there is momentum, weight decay or a proximal term."""
    return rule[1] != 0 or rule[4] != 0 or rule[5] != 0


@inner
def _scratch(widths: _Numbers, size: int) -> tuple[_Floats, _Floats, _Numbers]:
    """Return room for a batch's values and slopes of every layer, and where each begins."""
    offsets = np.zeros(len(widths), np.int64)
    for layer in range(1, len(widths)):
        offsets[layer] = offsets[layer - 1] + size * widths[layer - 1]
    room = offsets[-1] + size * widths[-1]
    return np.empty(room, np.float32), np.empty(room, np.float32), offsets


@inner
def _block(
    flat: _Floats, offsets: _Numbers, widths: _Numbers, layer: int | np.int64, count: int
) -> _Floats:
    """Return the part of the room that is one layer's (count, width)."""
    begin = offsets[layer]
    return flat[begin : begin + count * widths[layer]].reshape(count, widths[layer])


@inner
def _take(features: _Floats, rows: _Numbers, out: _Floats) -> None:
    for place in range(len(rows)):
        row = rows[place]
        if row < 0 or row >= len(features):
            raise IndexError("a row number is outside the table")
        for k in range(out.shape[1]):
            out[place, k] = features[row, k]


@inner
def _forward(
    weights: _Floats,
    widths: _Numbers,
    activation: int,
    count: int,
    values: _Floats,
    slopes: _Floats,
    offsets: _Numbers,
) -> None:
    """Fill in the values of every layer behind the first, and the activations' slopes."""
    begin, last = 0, len(widths) - 1
    for layer in range(last):
        inputs, outputs = widths[layer], widths[layer + 1]
        end = begin + outputs * inputs
        matrix, bias = weights[begin:end].reshape(outputs, inputs), weights[end : end + outputs]
        given = _block(values, offsets, widths, layer, count)
        made = _block(values, offsets, widths, layer + 1, count)
        affine(given, matrix, bias, made)
        if layer + 1 < last:
            activate(made, _block(slopes, offsets, widths, layer + 1, count), activation)
        begin = end + outputs


@inner
def _descent_of(
    output: _Floats, loss: int, columns: tuple[_Floats, _Numbers, _Floats], rows: _Numbers
) -> float:
    """Turn a batch's output into the gradient of its mean loss; return that loss."""
    if loss == CROSS_ENTROPY:
        return cross_entropy(output, columns[1], rows)
    return mean_square(output, columns[2], rows)
