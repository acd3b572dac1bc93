"""Kernels of the layers of an LSTM, forward and backward over a batch.

Hochreiter & Schmidhuber 1997, with forget gates (Gers et al. 2000), as ``torch.nn.LSTM``
computes them. What belongs to a step of all sequences lies together, ``(steps, batch)``, so
that a step multiplies few rows with panels of weights. Widths are rounded up to whole panels
and batches to whole tiles; what is added holds zeros or is never read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeros_torch.kernels.gemm_panels import LANES, ROWS, outer, panel
from aeros_torch.kernels.jit import inner
from aeros_torch.kernels.lstm_gates import close, open_

__all__ = ["WIDE", "backward", "buffer_size", "forward", "packs", "row_blocks", "up"]

WIDE = 2 * LANES
"""Columns in a panel."""

_CHUNK = 64
"""Rows whose products are added up together, so that they stay in cache."""

_six, _five, _outer = panel(ROWS, 2), panel(ROWS - 1, 2), outer(ROWS, 2)

_Floats = NDArray[np.float32]
_Numbers = NDArray[np.int64]
_Word = int | np.int64
_Room = tuple[_Floats, _Floats, _Floats, _Floats, _Floats, _Floats]
_Packs = tuple[_Floats, _Floats, _Floats, _Floats, _Floats]


@inner
def up(count: int, to: int) -> int:
    """Round up to a multiple."""
    return -(-count // to) * to


@inner
def buffer_size(sizes: tuple[int, int, int], steps: int, size: int) -> _Room:
    """Return room for a batch.

    Args:
        sizes: Inputs, hidden, layers.
        steps: In a sequence.
        size: Sequences.

    Returns:
        Inputs (rows, width); gates, then their gradients (layers, rows, 4 widths); states
        and cells with zeros before the first step (layers, rows, width); tanh of the
        cells; gradient to what a layer makes (rows, width).
    """
    inputs, hidden, layers = sizes
    wide, each = up(hidden, WIDE), row_blocks(size)
    rows = steps * each + ROWS
    return (
        np.zeros((rows, up(inputs, WIDE)), np.float32),
        np.zeros((layers, rows, 4 * wide), np.float32),
        np.zeros((layers, rows + each, wide), np.float32),
        np.zeros((layers, rows + each, wide), np.float32),
        np.zeros((layers, rows, wide), np.float32),
        np.zeros((rows, max(wide, up(inputs, WIDE))), np.float32),
    )


@inner
def row_blocks(size: int) -> int:
    """Return how many rows a batch takes: whole tiles."""
    return min(up(size, ROWS), up(size, ROWS - 1))


@inner
def packs(
    weights: _Floats, sizes: tuple[int, int, int], held: _Packs, begin: int, number: int
) -> int:
    """Pack a layer's weights for the way forth and back; return where the next begin.

    Args:
        weights: The flat vector.
        sizes: Inputs, hidden, layers.
        held: Filled: panels of the transposed weights of inputs and of states, of the
            weights as they are of both, (layers, size); biases (layers, 4 widths).
        begin: Where the layer's weights begin.
        number: Of the layer.
    """
    hidden = sizes[1]
    inputs = sizes[0] if number == 0 else hidden
    _pack(weights[begin:], hidden, inputs, held[0][number], held[2][number])
    begin += 4 * hidden * inputs
    _pack(weights[begin:], hidden, hidden, held[1][number], held[3][number])
    begin += 4 * hidden * hidden
    wide = up(hidden, WIDE)
    for gate in range(4):
        for k in range(hidden):
            one = begin + gate * hidden + k
            held[4][number, gate * wide + k] = weights[one] + weights[one + 4 * hidden]
    return begin + 8 * hidden


@inner
def _pack(weights: _Floats, hidden: int, inputs: int, forth: _Floats, back: _Floats) -> None:
    """Pack weights (4 hidden, inputs), transposed and as they are."""
    wide = up(hidden, WIDE)
    for gate in range(4):
        for k in range(hidden):
            to, source = gate * wide + k, (gate * hidden + k) * inputs
            first = to // WIDE * WIDE * inputs + to % WIDE
            for one in range(inputs):
                forth[first + one * WIDE] = weights[source + one]
            for start in range(0, inputs, WIDE):
                there = start * 4 * wide + to * WIDE
                for one in range(min(WIDE, inputs - start)):
                    back[there + one] = weights[source + start + one]


@inner
def _multiply(
    made: tuple[_Word, _Word],
    init: tuple[_Word, _Word],
    given: tuple[_Word, _Word],
    packed: _Word,
    count: int,
    length: int,
    width: int,
) -> None:
    """Write ``init + given @ panels``; rows as the address of the first and bytes to the next."""
    table = np.empty(ROWS, np.int64)
    for k in range(ROWS):
        table[k] = k * given[1]
    there, five = np.int64(table.ctypes.data), up(count, ROWS - 1) <= up(count, ROWS)
    tile = ROWS - 1 if five else ROWS
    for first in range(0, width, WIDE):
        b = packed + 4 * first * length
        for row in range(0, count, tile):
            c, i = made[0] + row * made[1] + 4 * first, init[0] + row * init[1] + 4 * first
            a = given[0] + row * given[1]
            if five:
                _five(c, made[1], i, init[1], a, there, b, 1, length, 0, 4, 0, 4 * WIDE)
            else:
                _six(c, made[1], i, init[1], a, there, b, 1, length, 0, 4, 0, 4 * WIDE)


@inner
def forward(
    sizes: tuple[int, int, int], steps: int, count: int, each: int, space: _Room, held: _Packs
) -> None:
    """Fill in gates, cells and states of a batch whose inputs are in their room.

    Args:
        sizes: Inputs, hidden, layers.
        steps: In a sequence.
        count: Sequences.
        each: Rows from one step to the next.
        space: What `buffer_size` returned.
        held: What `packs` filled.
    """
    inputs, hidden, layers = sizes
    wide = up(hidden, WIDE)
    for number in range(layers):
        gates, states = space[1][number], space[2][number]
        given, length, skip = (space[0], inputs, 0) if number == 0 else (
            space[2][number - 1], hidden, each)  # fmt: skip
        bias = np.int64(held[4][number].ctypes.data)
        for step in range(steps):
            row = step * each
            made = (np.int64(gates[row].ctypes.data), 16 * wide)
            x = (np.int64(given[row + skip].ctypes.data), 4 * given.shape[1])
            weights = np.int64(held[0][number].ctypes.data)
            _multiply(made, (bias, 0), x, weights, count, length, 4 * wide)
            if step > 0:
                h = (np.int64(states[row].ctypes.data), 4 * wide)
                weights = np.int64(held[1][number].ctypes.data)
                _multiply(made, made, h, weights, count, hidden, 4 * wide)
            for k in range(row, row + count):
                open_(gates[k], space[3][number], states, space[4][number, k], k, each)


@inner
def backward(
    sizes: tuple[int, int, int],
    steps: int,
    count: int,
    each: int,
    space: _Room,
    held: _Packs,
    gradients: tuple[_Floats, _Floats],
    number: int,
    deeper: bool,
) -> None:
    """Turn a layer's gates into their gradients, and add up those of its weights.

    Args:
        sizes: As in `forward`.
        steps: As there.
        count: As there.
        each: As there.
        space: As there; the gradient to what the layer made is replaced by that to its inputs.
        held: As there.
        gradients: Filled: of the weights of inputs, and of states, (4 widths, width).
        number: Of the layer.
        deeper: Whether the gradient to the inputs is wanted.
    """
    wide, above = up(sizes[1], WIDE), space[5]
    gates, states, cells = space[1][number], space[2][number], space[3][number]
    lost, down = np.zeros((count, wide), np.float32), np.empty((each, wide), np.float32)
    line = 4 * above.shape[1]
    for step in range(steps - 1, -1, -1):
        row = step * each
        to, up_there = np.int64(down.ctypes.data), (np.int64(above[row].ctypes.data), line)
        if step + 1 < steps:
            after = (np.int64(gates[row + each].ctypes.data), 16 * wide)
            weights = np.int64(held[3][number].ctypes.data)
            _multiply((to, 4 * wide), up_there, after, weights, count, 4 * wide, wide)
        else:
            for k in range(count):
                for one in range(wide):
                    down[k, one] = above[row + k, one]
        for k in range(count):
            its, tanh = gates[row + k], space[4][number, row + k]
            close(its, cells[row + k], tanh, down[k], lost[k])
    given, skip = (space[0], 0) if number == 0 else (space[2][number - 1], each)
    _add_up(gates, given[skip:], steps, count, each, gradients[0])
    _add_up(gates, states, steps, count, each, gradients[1])
    if deeper:
        weights = np.int64(held[2][number].ctypes.data)
        zeros = (np.int64(np.zeros(given.shape[1], np.float32).ctypes.data), 0)
        for step in range(steps):
            made = (np.int64(above[step * each].ctypes.data), line)
            its = (np.int64(gates[step * each].ctypes.data), 16 * wide)
            _multiply(made, zeros, its, weights, count, 4 * wide, given.shape[1])


@inner
def _add_up(
    downs: _Floats, given: _Floats, steps: int, count: int, each: int, gradient: _Floats
) -> None:
    """Write the gradient of weights, ``downs.T @ given`` over the rows of a batch."""
    total, width = downs.shape[1], given.shape[1]
    gradient[:] = 0
    left, right = np.empty(steps * count, np.int64), np.empty(steps * count, np.int64)
    for k in range(steps * count):
        row = k // count * each + k % count
        left[k], right[k] = 4 * row * total, 4 * row * width
    a, b = np.int64(downs.ctypes.data), np.int64(given.ctypes.data)
    for begin in range(0, steps * count, _CHUNK):
        some = min(_CHUNK, steps * count - begin)
        of, at = np.int64(left[begin:].ctypes.data), np.int64(right[begin:].ctypes.data)
        for one in range(0, total, ROWS):
            c = np.int64(gradient[one:].ctypes.data)
            for first in range(0, width, WIDE):
                _outer(c + 4 * first, 4 * width, a + 4 * one, of, b + 4 * first, at, some)
