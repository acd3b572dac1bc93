"""Kernels that train and measure an LSTM with a dense layer behind its last step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeros_torch import layers, recurrence
from aeros_torch.compiling import inner, kernel
from aeros_torch.heads import block, copy, cuts, descend, has_more, most, tally
from aeros_torch.heads import room as head_room
from aeros_torch.panels import ROWS
from aeros_torch.recurrence import WIDE, backward, forward, packs, up

__all__ = ["measure", "train"]

_Floats = NDArray[np.float32]
_Doubles = NDArray[np.float64]
_Numbers = NDArray[np.int64]
_Packs = tuple[_Floats, _Floats, _Floats, _Floats, _Floats]
_Room = tuple[_Floats, _Floats, _Floats, _Floats, _Floats, _Floats]

_renew, _room, _lines = layers.renew, recurrence.room, recurrence.lines


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
    codes: int,
    sizes: tuple[int, int, int],
) -> None:
    """Train clients one after the other, as `dense.train` does.

    Args:
        vectors: As in `dense.train`, and so are those up to ``kinds``.
        losses: As there.
        start: As there.
        drifts: As there.
        columns: As there; an example is codes (steps,), or numbers (steps, inputs).
        order: As there.
        counts: As there.
        length: As there.
        rule: As there.
        widths: Of the dense layer.
        kinds: As there.
        codes: How many there are; 0 where numbers come in.
        sizes: Inputs, hidden, layers.
    """
    size = min(length[1], most(counts))
    head, steps = _head(codes, sizes), _steps(columns[0], codes, sizes)
    blocks, space, held = head_room(widths, size), _room(sizes, steps, size), _packs(sizes)
    more = has_more(rule) or len(drifts) > 0
    velocity, drift = np.zeros(len(start) if more else 0, np.float32), np.empty(0, np.float32)
    gradient, begin, each = np.empty(head, np.float32), 0, _lines(size)
    for client in range(len(counts)):
        weights = vectors[client]
        copy(start, weights)
        velocity[:] = 0
        if len(drifts) > 0:
            drift = drifts[client]
        top = (weights[head:], velocity[head:], start[head:], drift[head:])
        lost, seen = 0.0, 0
        for first, last in cuts(counts[client], length):
            rows = order[begin + first : begin + last]
            features = block(blocks[0], blocks[2], widths, 0, len(rows))
            _load(weights, codes, sizes, held)
            _through(columns[0], rows, weights, codes, sizes, steps, each, space, held, features)
            lost += len(rows) * descend(
                top, widths, kinds, columns, rows, rule, seen == 0, True, blocks
            )
            down = block(blocks[1], blocks[2], widths, 0, len(rows))
            _back(columns[0], rows, down, codes, sizes, steps, each, space, held, gradient)
            part = slice(0, head)
            _renew(
                weights[part], gradient, velocity[part], start[part], drift[part], rule, seen == 0
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
    codes: int,
    sizes: tuple[int, int, int],
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
        codes: As in `train`.
        sizes: As in `train`.
    """
    size = min(size, len(rows))
    head, steps, each = _head(codes, sizes), _steps(columns[0], codes, sizes), _lines(size)
    blocks, space, held = head_room(widths, size), _room(sizes, steps, size), _packs(sizes)
    _load(weights, codes, sizes, held)
    for begin in range(0, len(rows), size):
        some = rows[begin : begin + size]
        features = block(blocks[0], blocks[2], widths, 0, len(some))
        _through(columns[0], some, weights, codes, sizes, steps, each, space, held, features)
        tally(sums, weights[head:], widths, kinds, columns, some, blocks)


@inner
def _head(codes: int, sizes: tuple[int, int, int]) -> int:
    """Return where in the flat vector the parameters of the dense layer begin."""
    inputs, hidden, layers = sizes
    return codes * inputs + 4 * hidden * (inputs + (2 * layers - 1) * hidden + 2 * layers)


@inner
def _steps(data: _Floats, codes: int, sizes: tuple[int, int, int]) -> int:
    return int(data.shape[1]) if codes > 0 else int(data.shape[1]) // sizes[0]


@inner
def _packs(sizes: tuple[int, int, int]) -> _Packs:
    """Return room for the packed weights; see `recurrence.packs`."""
    inputs, hidden, layers = sizes
    wide, most = up(hidden, WIDE), max(up(inputs, WIDE), up(hidden, WIDE))
    return (
        np.zeros((layers, 4 * wide * most), np.float32),
        np.zeros((layers, 4 * wide * wide), np.float32),
        np.zeros((layers, 4 * wide * most), np.float32),
        np.zeros((layers, 4 * wide * wide), np.float32),
        np.zeros((layers, 4 * wide), np.float32),
    )


@inner
def _load(weights: _Floats, codes: int, sizes: tuple[int, int, int], held: _Packs) -> None:
    begin = codes * sizes[0]
    for number in range(sizes[2]):
        begin = packs(weights, sizes, held, begin, number)


@inner
def _through(
    data: _Floats,
    rows: _Numbers,
    weights: _Floats,
    codes: int,
    sizes: tuple[int, int, int],
    steps: int,
    each: int,
    space: _Room,
    held: _Packs,
    features: _Floats,
) -> None:
    """Bring a batch from the table to the state behind its last step."""
    inputs, given = sizes[0], space[0]
    for place in range(len(rows)):
        row = rows[place]
        if row < 0 or row >= len(data):
            raise IndexError("a row number is outside the table")
        for step in range(steps):
            to = given[step * each + place]
            if codes > 0:
                code = np.int64(data[row, step])
                if code < 0 or code >= codes:
                    raise IndexError("a code is that of no category")
                for k in range(inputs):
                    to[k] = weights[code * inputs + k]
            else:
                for k in range(inputs):
                    to[k] = data[row, step * inputs + k]
    forward(sizes, steps, len(rows), each, space, held)
    last = space[2][sizes[2] - 1]
    for place in range(len(rows)):
        for k in range(sizes[1]):
            features[place, k] = last[steps * each + place, k]


@inner
def _back(
    data: _Floats,
    rows: _Numbers,
    down: _Floats,
    codes: int,
    sizes: tuple[int, int, int],
    steps: int,
    each: int,
    space: _Room,
    held: _Packs,
    gradient: _Floats,
) -> None:
    """Write the gradient of everything before the dense layer."""
    inputs, hidden, layers = sizes
    above, wide = space[5], up(hidden, WIDE)
    above[:] = 0
    for place in range(len(rows)):
        for k in range(hidden):
            above[(steps - 1) * each + place, k] = down[place, k]
    end = len(gradient)
    for number in range(layers - 1, -1, -1):
        width = inputs if number == 0 else hidden
        tall = up(4 * wide, ROWS)
        parts = (
            np.empty((tall, up(width, WIDE)), np.float32),
            np.empty((tall, wide), np.float32),
        )
        deeper = number > 0 or codes > 0
        backward(sizes, steps, len(rows), each, space, held, parts, number, deeper)
        end -= 4 * hidden * (width + hidden + 2)
        _write(parts, space[1][number], steps, len(rows), each, (width, hidden), gradient[end:])
    gradient[:end] = 0
    if codes > 0:
        for place in range(len(rows)):
            for step in range(steps):
                to, it = np.int64(data[rows[place], step]) * inputs, above[step * each + place]
                for k in range(inputs):
                    gradient[to + k] += it[k]


@inner
def _write(
    parts: tuple[_Floats, _Floats],
    downs: _Floats,
    steps: int,
    count: int,
    each: int,
    shape: tuple[int, int],
    gradient: _Floats,
) -> None:
    """Write a layer's gradients in torch's order: weights of inputs, of states, two biases."""
    hidden, to = shape[1], 0
    wide = up(hidden, WIDE)
    for which in range(2):
        part, width = parts[which], shape[which]
        for k in range(4 * hidden):
            source = part[k // hidden * wide + k % hidden]
            for one in range(width):
                gradient[to + one] = source[one]
            to += width
    sums = np.zeros(4 * wide, np.float32)
    for step in range(steps):
        for row in range(step * each, step * each + count):
            for k in range(4 * wide):
                sums[k] += downs[row, k]
    for k in range(4 * hidden):
        gradient[to + k] = sums[k // hidden * wide + k % hidden]
        gradient[to + 4 * hidden + k] = sums[k // hidden * wide + k % hidden]
