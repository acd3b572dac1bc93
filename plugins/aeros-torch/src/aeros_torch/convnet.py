"""Kernels that train and measure convolutions with max pooling and dense layers behind them.

Images go through one after the other, so that what a layer makes is still in cache where
the next one, or the way back, needs it; see `convolution`. Weights stay in torch's order in
the flat vector. What ``layers``, ``rooms`` and ``tables`` hold is told in `plan`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeros_torch.compiling import kernel
from aeros_torch.heads import block, copy, cuts, descend, has_more, most, tally
from aeros_torch.heads import room as head_room
from aeros_torch.trunk import backward, end, forward, load, packs, renew, room

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
    layers: _Numbers,
    rooms: _Numbers,
    tables: _Numbers,
    side: int,
) -> None:
    """Train clients one after the other, as `dense.train` does.

    Args:
        vectors: As in `dense.train`, and so are those up to ``kinds``.
        losses: As there.
        start: As there.
        drifts: As there.
        columns: As there; an image is (channels, height, width), one behind the other.
        order: As there.
        counts: As there.
        length: As there.
        rule: As there.
        widths: Of the dense layers.
        kinds: As there.
        layers: As `plan.Plan` has it, and so are ``rooms`` and ``tables``.
        rooms: As there.
        tables: As there.
        side: Pixels in a row of a kernel.
    """
    size = min(length[1], most(counts))
    head, blocks = end(layers, side), head_room(widths, size)
    space, held = room(rooms, size), packs(rooms)
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
        top = (weights[head:], velocity[head:], start[head:], drift[head:])
        lost, seen = 0.0, 0
        for first, last in cuts(counts[client], length):
            rows = order[begin + first : begin + last]
            features = block(blocks[0], blocks[2], widths, 0, len(rows))
            load(weights, layers, side, held)
            forward(columns[0], rows, features, layers, tables, side, kinds[0], space, held)
            lost += len(rows) * descend(
                top, widths, kinds, columns, rows, rule, seen == 0, True, blocks
            )
            down = block(blocks[1], blocks[2], widths, 0, len(rows))
            backward(down, layers, tables, side, space, held)
            renew(model, rule, seen == 0, layers, side, held)
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
    layers: _Numbers,
    rooms: _Numbers,
    tables: _Numbers,
    side: int,
) -> None:
    """Add up what an evaluation measures over some rows, as `dense.measure` does.

    Args:
        sums: As in `dense.measure`, and so are those up to ``kinds``.
        weights: As there.
        columns: As there.
        rows: As there.
        size: As there.
        widths: As in `train`.
        kinds: As in `train`.
        layers: As in `train`.
        rooms: As in `train`.
        tables: As in `train`.
        side: As in `train`.
    """
    size = min(size, len(rows))
    head, blocks = end(layers, side), head_room(widths, size)
    space, held = room(rooms, size), packs(rooms)
    load(weights, layers, side, held)
    for begin in range(0, len(rows), size):
        some = rows[begin : begin + size]
        features = block(blocks[0], blocks[2], widths, 0, len(some))
        forward(columns[0], some, features, layers, tables, side, kinds[0], space, held)
        tally(sums, weights[head:], widths, kinds, columns, some, blocks)
