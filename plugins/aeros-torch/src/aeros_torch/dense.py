"""Kernels that train and measure stacks of dense layers on float32 vectors; see `heads`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeros_torch.compiling import kernel
from aeros_torch.heads import block, copy, cuts, descend, has_more, most, room, take, tally

__all__ = ["measure", "train"]

_Floats = NDArray[np.float32]
_Doubles = NDArray[np.float64]
_Numbers = NDArray[np.int64]


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
    rule: tuple[float, float, float, bool, float, float],
    widths: _Numbers,
    kinds: tuple[int, int],
) -> None:
    """Train clients one after the other, each from ``start`` into its own row.

    Args:
        vectors: Filled with the clients' parameters (clients, size).
        losses: Filled with the mean loss of each client's examples as it was trained on.
        start: Parameters to start from (size,).
        drifts: Added to every gradient of each client (clients, size); or (0, size).
        columns: Features (rows, inputs); labels (rows,) for cross-entropy; values (rows,
            outputs) for mse.
        order: Rows in the order of training, all epochs of a client one behind the
            other, and the clients one behind the other.
        counts: Examples of each client.
        length: Epochs; examples in a batch; batches in all, or -1 for all of them.
        rule: Learning rate, momentum, dampening, nesterov, weight decay, proximal mu.
        widths: Inputs, width of each hidden layer, outputs.
        kinds: Number of the activation, number of the loss.
    """
    space = room(widths, min(length[1], most(counts)))
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
        lost, seen = 0.0, 0
        for first, end in cuts(counts[client], length):
            rows = order[begin + first : begin + end]
            take(columns[0], rows, block(space[0], space[2], widths, 0, len(rows)))
            lost += len(rows) * descend(
                model, widths, kinds, columns, rows, rule, seen == 0, False, space
            )
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
    """
    space = room(widths, min(size, len(rows)))
    for begin in range(0, len(rows), size):
        some = rows[begin : begin + size]
        take(columns[0], some, block(space[0], space[2], widths, 0, len(some)))
        tally(sums, weights, widths, kinds, columns, some, space)
