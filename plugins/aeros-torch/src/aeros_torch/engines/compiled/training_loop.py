"""The compiled loops that train clients and measure models, for every kind of network.

A network ends in dense layers, which `heads` works on. What comes before them is its trunk: a
named tuple of numbers, or None where the table's columns go into the dense layers as they are.
`dense`, `convnet` and `lstm` say for one class of trunks each what `dense_from`, `reserve`,
`load`, `forward` and `backward` do. numba compiles the loops once for each of the classes, and
keeps them on disk as it keeps any kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeros_torch.engines.compiled.dense_head import (
    block,
    buffer_size,
    copy,
    cuts,
    gradient_step,
    has_more,
    most,
    totals,
)
from aeros_torch.kernels.jit import kernel

__all__ = ["backward", "dense_from", "forward", "load", "measure", "reserve", "train"]

_Floats = NDArray[np.float32]
_Doubles = NDArray[np.float64]
_Numbers = NDArray[np.int64]
_Rule = tuple[float, float, float, bool, float, float]
_Model = tuple[_Floats, _Floats, _Floats, _Floats]


def dense_from(trunk: Any) -> int:
    """Return where in the flat vector the parameters of the dense layers begin."""
    raise NotImplementedError


def reserve(trunk: Any, data: _Floats, size: int) -> Any:
    """Return the memory that a trunk works in, for batches of up to ``size`` examples."""
    raise NotImplementedError


def load(trunk: Any, weights: _Floats, space: Any) -> None:
    """Take up the weights as they are now."""
    raise NotImplementedError


def forward(
    trunk: Any,
    data: _Floats,
    rows: _Numbers,
    weights: _Floats,
    features: _Floats,
    activation: int,
    space: Any,
) -> None:
    """Fill in what some rows of the table give the first dense layer (rows, features)."""
    raise NotImplementedError


def backward(
    trunk: Any,
    data: _Floats,
    rows: _Numbers,
    down: _Floats,
    model: _Model,
    rule: _Rule,
    first: bool,
    space: Any,
) -> None:
    """Take a step on the trunk's parameters, ``down`` being the gradient to its features."""
    raise NotImplementedError


@kernel
def train(
    vectors: _Floats,
    losses: _Doubles,
    start: _Floats,
    drifts: _Floats,
    columns: tuple[_Floats, _Numbers, _Floats],
    order: _Numbers,
    counts: _Numbers,
    length: tuple[int, int, int],
    rule: _Rule,
    widths: _Numbers,
    kinds: tuple[int, int],
    trunk: Any,
) -> None:
    """Train clients one after the other, each from ``start`` into its own row.

    Args:
        vectors: Filled with the clients' parameters (clients, size).
        losses: Filled with the mean loss of each client's examples as it was trained on.
        start: Parameters to start from (size,).
        drifts: Added to every gradient of each client (clients, size); or (0, size).
        columns: Examples (rows, numbers of one); labels (rows,) for cross-entropy; values
            (rows, outputs) for mse.
        order: Rows in the order of training, all epochs of a client one behind the
            other, and the clients one behind the other.
        counts: Examples of each client.
        length: Epochs; examples in a batch; batches in all, or -1 for all of them.
        rule: Learning rate, momentum, dampening, nesterov, weight decay, proximal mu.
        widths: Of the dense layers: inputs, width of each hidden layer, outputs.
        kinds: Number of the activation, number of the loss.
        trunk: What comes before the dense layers; None: nothing.
    """
    size = min(length[1], most(counts))
    dense, blocks, space = (
        dense_from(trunk),
        buffer_size(widths, size),
        reserve(trunk, columns[0], size),
    )
    more = has_more(rule) or len(drifts) > 0
    velocity, drift = np.zeros(len(start) if more else 0, np.float32), np.empty(0, np.float32)
    begin = 0
    for client in range(len(counts)):
        weights = vectors[client]
        copy(start, weights)
        velocity[:] = 0
        if len(drifts) > 0:
            drift = drifts[client]
        model = (weights, velocity, start, drift)
        top = (weights[dense:], velocity[dense:], start[dense:], drift[dense:])
        lost, seen = 0.0, 0
        for first, end in cuts(counts[client], length):
            rows = order[begin + first : begin + end]
            features = block(blocks[0], blocks[2], widths, 0, len(rows))
            load(trunk, weights, space)
            forward(trunk, columns[0], rows, weights, features, kinds[0], space)
            lost += len(rows) * gradient_step(
                top, widths, kinds, columns, rows, rule, seen == 0, trunk is not None, blocks
            )
            down = block(blocks[1], blocks[2], widths, 0, len(rows))
            backward(trunk, columns[0], rows, down, model, rule, seen == 0, space)
            seen += len(rows)
        losses[client] = lost / seen
        begin += length[0] * counts[client]


@kernel
def measure(
    sums: _Doubles,
    weights: _Floats,
    columns: tuple[_Floats, _Numbers, _Floats],
    rows: _Numbers,
    size: int,
    widths: _Numbers,
    kinds: tuple[int, int],
    trunk: Any,
) -> None:
    """Add up what an evaluation measures over some rows.

    Args:
        sums: Added to: the loss; right answers, or absolute errors; squared errors.
        weights: The parameters (size,).
        columns: As in `train`.
        rows: Which rows.
        size: Rows to work on at once.
        widths: As in `train`.
        kinds: As in `train`.
        trunk: As in `train`.
    """
    size = min(size, len(rows))
    dense, blocks, space = (
        dense_from(trunk),
        buffer_size(widths, size),
        reserve(trunk, columns[0], size),
    )
    load(trunk, weights, space)
    for begin in range(0, len(rows), size):
        some = rows[begin : begin + size]
        features = block(blocks[0], blocks[2], widths, 0, len(some))
        forward(trunk, columns[0], some, weights, features, kinds[0], space)
        totals(sums, weights[dense:], widths, kinds, columns, some, blocks)
