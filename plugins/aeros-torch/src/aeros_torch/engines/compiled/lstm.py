"""Networks of an LSTM with dense layers behind its last step; see `lstm_layer`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aeros_torch.engines.compiled import training_loop
from aeros_torch.kernels import dense_layer, lstm_layer
from aeros_torch.kernels.gemm_panels import ROWS
from aeros_torch.kernels.jit import implements, inner
from aeros_torch.kernels.lstm_layer import WIDE, backward, forward, packs, up

__all__ = ["Trunk"]

_Floats = NDArray[np.float32]
_Numbers = NDArray[np.int64]
_Packs = tuple[_Floats, _Floats, _Floats, _Floats, _Floats]
_Room = tuple[_Floats, _Floats, _Floats, _Floats, _Floats, _Floats]
_Rule = tuple[float, float, float, bool, float, float]
_Model = tuple[_Floats, _Floats, _Floats, _Floats]
_Space = tuple[_Room, _Packs, _Floats, tuple[int, int]]

_renew, _room, _lines = dense_layer.renew, lstm_layer.buffer_size, lstm_layer.row_blocks


class Trunk(NamedTuple):
    """LSTM layers; an example is codes (steps,) in the table, or numbers (steps, inputs).

    Args:
        codes: How many there are; 0 where numbers come in.
        sizes: Inputs, hidden, layers.
    """

    codes: int
    sizes: tuple[int, int, int]


@implements(training_loop.dense_from, Trunk)
def _dense_from(trunk: Trunk) -> int:
    return _head(trunk.codes, trunk.sizes)


@implements(training_loop.reserve, Trunk)
def _reserve(trunk: Trunk, data: _Floats, size: int) -> _Space:
    codes, sizes = trunk.codes, trunk.sizes
    steps, gradient = _steps(data, codes, sizes), np.empty(_head(codes, sizes), np.float32)
    return _room(sizes, steps, size), _packs(sizes), gradient, (steps, _lines(size))


@implements(training_loop.load, Trunk)
def _load(trunk: Trunk, weights: _Floats, space: _Space) -> None:
    begin = trunk.codes * trunk.sizes[0]
    for number in range(trunk.sizes[2]):
        begin = packs(weights, trunk.sizes, space[1], begin, number)


@implements(training_loop.forward, Trunk)
def _forward(
    trunk: Trunk,
    data: _Floats,
    rows: _Numbers,
    weights: _Floats,
    features: _Floats,
    activation: int,  # noqa: ARG001 - of the dense layers
    space: _Space,
) -> None:
    steps, each = space[3]
    codes, sizes = trunk.codes, trunk.sizes
    _through(data, rows, weights, codes, sizes, steps, each, space[0], space[1], features)


@implements(training_loop.backward, Trunk)
def _backward(
    trunk: Trunk,
    data: _Floats,
    rows: _Numbers,
    down: _Floats,
    model: _Model,
    rule: _Rule,
    first: bool,
    space: _Space,
) -> None:
    steps, each = space[3]
    gradient, part = space[2], slice(0, len(space[2]))
    codes, sizes = trunk.codes, trunk.sizes
    _back(data, rows, down, codes, sizes, steps, each, space[0], space[1], gradient)
    weights, velocity, start, drift = model
    _renew(weights[part], gradient, velocity[part], start[part], drift[part], rule, first)


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
    """Return room for the packed weights; see `lstm_layer.packs`."""
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
