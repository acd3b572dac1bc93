"""Kernels of the dense layers that end a network: forward, loss, backward, step.

Parameters are a float32 vector as `Parameters` lay it out, weight (outputs, inputs) and bias
of each layer in turn, and ``widths``: inputs, every hidden layer, outputs. With small batches
time goes into walking over the weights, so a step walks twice: forward, and once to
compute the gradient and apply it in place; the gradient itself is never stored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeros_torch.kernels.dense_layer import affine, apply, apply_plainly, back
from aeros_torch.kernels.jit import inner
from aeros_torch.kernels.pointwise import activate, cross_entropy, errors, mean_square, right

__all__ = [
    "CROSS_ENTROPY",
    "MSE",
    "block",
    "buffer_size",
    "copy",
    "cuts",
    "gradient_step",
    "has_more",
    "take",
    "totals",
]

CROSS_ENTROPY, MSE = 0, 1

_Floats = NDArray[np.float32]
_Doubles = NDArray[np.float64]
_Numbers = NDArray[np.int64]
_Model = tuple[_Floats, _Floats, _Floats, _Floats]
_Room = tuple[_Floats, _Floats, _Numbers]


@inner
def gradient_step(
    model: _Model,
    widths: _Numbers,
    kinds: tuple[int, int],
    columns: tuple[_Floats, _Numbers, _Floats],
    rows: _Numbers,
    rule: tuple[float, float, float, bool, float, float],
    first: bool,
    deeper: bool,
    room: _Room,
) -> float:
    """Take one step on a batch whose inputs are in the first block; return its mean loss.

    Args:
        model: Weights, velocity, start, drift; the latter three may be empty.
        widths: Inputs, width of each hidden layer, outputs.
        kinds: Number of the activation, number of the loss.
        columns: Features; labels (rows,); values (rows, outputs).
        rows: The batch.
        rule: Learning rate, momentum, dampening, nesterov, weight decay, proximal mu.
        first: Whether it is the first step.
        deeper: Whether to leave the gradient to the inputs in the first block of slopes.
        room: What `buffer_size` returned.
    """
    weights, velocity, start, drift = model
    values, slopes, offsets = room
    count, last = len(rows), len(widths) - 1
    _forward(weights, widths, kinds[0], count, values, slopes, offsets)
    down = block(values, offsets, widths, last, count)
    lost = _descent_of(down, kinds[1], columns, rows)
    if deeper:
        block(slopes, offsets, widths, 0, count)[:] = 1
    end = len(weights)
    for layer in range(last - 1, -1, -1):
        inputs, outputs = widths[layer], widths[layer + 1]
        begin = end - outputs * (inputs + 1)
        matrix = weights[begin : end - outputs].reshape(outputs, inputs)
        given = block(values, offsets, widths, layer, count)
        slope = block(slopes, offsets, widths, layer, count)
        if layer > 0 or deeper:
            back(down, matrix, slope)
        if len(velocity) > 0:
            part = slice(begin, end)
            apply(down, given, weights[part], velocity[part], start[part], drift[part], rule, first)
        else:
            apply_plainly(down, given, matrix, weights[end - outputs : end], rule[0])
        down, end = slope, begin
    return lost


@inner
def totals(
    sums: _Doubles,
    weights: _Floats,
    widths: _Numbers,
    kinds: tuple[int, int],
    columns: tuple[_Floats, _Numbers, _Floats],
    rows: _Numbers,
    room: _Room,
) -> None:
    """Add up what an evaluation measures over a batch whose inputs are in the first block.

    Args:
        sums: Added to: the loss; right answers, or absolute errors; squared errors.
        weights: Of the dense layers.
        widths: As in `gradient_step`.
        kinds: As in `gradient_step`.
        columns: As in `gradient_step`.
        rows: As in `gradient_step`.
        room: As in `gradient_step`.
    """
    values, slopes, offsets = room
    _forward(weights, widths, kinds[0], len(rows), values, slopes, offsets)
    output = block(values, offsets, widths, len(widths) - 1, len(rows))
    if kinds[1] == CROSS_ENTROPY:
        sums[1] += right(output, columns[1], rows)
    else:
        errors(output, columns[2], rows, sums)
    sums[0] += len(rows) * _descent_of(output, kinds[1], columns, rows)


@inner
def has_more(rule: tuple[float, float, float, bool, float, float]) -> bool:
    """Tell whether there is momentum, weight decay or a proximal term."""
    return rule[1] != 0 or rule[4] != 0 or rule[5] != 0


@inner
def cuts(count: int, length: tuple[int, int, int]) -> _Numbers:
    """Return where batches begin and end (batches, 2) in all epochs of a client.

    Args:
        count: Examples of the client.
        length: Epochs; examples in a batch; batches in all, or -1 for all of them.
    """
    epochs, size, steps = length
    each = -(-count // size)
    total = each * epochs if steps < 0 else min(steps, each * epochs)
    found = np.empty((total, 2), np.int64)
    for k in range(total):
        epoch, place = divmod(k, each)
        found[k, 0] = epoch * count + place * size
        found[k, 1] = epoch * count + min((place + 1) * size, count)
    return found


@inner
def copy(source: _Floats, to: _Floats) -> None:
    """Copy numbers; assigning a slice would compile numba's messages of errors along."""
    for k in range(len(to)):
        to[k] = source[k]


@inner
def most(counts: _Numbers) -> int:
    """Return the largest of some numbers; ``max`` takes a second longer to compile."""
    found = counts[0]
    for count in counts:
        found = max(found, count)
    return int(found)


@inner
def buffer_size(widths: _Numbers, size: int) -> _Room:
    """Return room for a batch's values and slopes of every layer, and where each begins."""
    offsets = np.zeros(len(widths), np.int64)
    for layer in range(1, len(widths)):
        offsets[layer] = offsets[layer - 1] + size * widths[layer - 1]
    whole = offsets[-1] + size * widths[-1]
    return np.empty(whole, np.float32), np.empty(whole, np.float32), offsets


@inner
def block(
    flat: _Floats, offsets: _Numbers, widths: _Numbers, layer: int | np.int64, count: int
) -> _Floats:
    """Return the part of the room that is one layer's (count, width)."""
    begin = offsets[layer]
    return flat[begin : begin + count * widths[layer]].reshape(count, widths[layer])


@inner
def take(features: _Floats, rows: _Numbers, out: _Floats) -> None:
    """Copy some rows of a table."""
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
        given = block(values, offsets, widths, layer, count)
        made = block(values, offsets, widths, layer + 1, count)
        affine(given, matrix, bias, made)
        if layer + 1 < last:
            activate(made, block(slopes, offsets, widths, layer + 1, count), activation)
        begin = end + outputs


@inner
def _descent_of(
    output: _Floats, loss: int, columns: tuple[_Floats, _Numbers, _Floats], rows: _Numbers
) -> float:
    """Turn a batch's output into the gradient of its mean loss; return that loss."""
    if loss == CROSS_ENTROPY:
        return cross_entropy(output, columns[1], rows)
    return mean_square(output, columns[2], rows)
