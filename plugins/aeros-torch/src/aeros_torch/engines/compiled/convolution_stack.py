"""Kernels of the convolutions of a network, forward and backward over a batch.

Images go through one after the other, so that what a layer makes is still in cache where
the next one, or the way back, needs it. What ``layers``, ``rooms`` and ``tables`` hold is
told in `convolution_plan`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeros_torch.engines.compiled.convolution_plan import COLUMNS
from aeros_torch.kernels import dense_layer as dense_layers
from aeros_torch.kernels.convolution import gradients, pack, pack_turned, slide, unpack
from aeros_torch.kernels.jit import inner
from aeros_torch.kernels.pointwise import activate, bent
from aeros_torch.kernels.pooling import pool, regain, spread

__all__ = ["backward", "buffer_size", "end", "forward", "load", "packs", "renew"]

(
    _INPUTS, _OUTPUTS, _STEP, _WIDE, _HEIGHT, _WIDTH, _BEFORE, _HIGH, _BROAD,
    _FLAT, _IMAGE, _SQUARE, _DOWN, _PACKED, _TURNED, _GRADIENT, _BIAS, _FORTH, _BACK, _WITHIN,
) = range(len(COLUMNS))  # fmt: skip

_SIGMOID, _GELU, _SILU = 2, 3, 4

_Floats = NDArray[np.float32]
_Numbers = NDArray[np.int64]
_Room = tuple[_Floats, _Floats, NDArray[np.int32], _Floats, _Floats, _Floats, _Floats]
_Packs = tuple[_Floats, _Floats, _Floats, _Floats, _Floats]
_Model = tuple[_Floats, _Floats, _Floats, _Floats]

_step = dense_layers.renew


@inner
def end(layers: _Numbers, side: int) -> int:
    """Return where in the flat vector the parameters behind the convolutions begin."""
    last = layers[-1]
    return int(last[_FLAT] + last[_OUTPUTS] * (last[_INPUTS] * side * side + 1))


@inner
def buffer_size(rooms: _Numbers, size: int) -> _Room:
    """Return room for a batch: images, slopes, winners; then for one image.

    Of an image: what is made, keys, values, and gradients within their borders.
    """
    image, square, down, made = rooms[0], rooms[1], rooms[2], rooms[7]
    return (
        np.zeros((size, image), np.float32),
        np.empty((size, square), np.float32),
        np.empty((size, square), np.int32),
        np.empty(made, np.float32),
        np.empty(made, np.float32),
        np.empty(made, np.float32),
        np.zeros(down, np.float32),
    )


@inner
def packs(rooms: _Numbers) -> _Packs:
    """Return room for packed weights, turned ones, their gradient, biases, their gradient."""
    return (
        np.zeros(rooms[3], np.float32),
        np.zeros(rooms[4], np.float32),
        np.zeros(rooms[5], np.float32),
        np.zeros(rooms[6], np.float32),
        np.zeros(rooms[6], np.float32),
    )


@inner
def load(weights: _Floats, layers: _Numbers, side: int, held: _Packs) -> None:
    """Pack the weights as they are now, and set the gradients to zero."""
    packed, turned, gradient, bias, slope = held
    gradient[:] = 0
    slope[:] = 0
    for number in range(len(layers)):
        its = layers[number]
        shape = (its[_OUTPUTS], its[_INPUTS], its[_WIDE], its[_STEP])
        last = its[_FLAT] + its[_OUTPUTS] * its[_INPUTS] * side * side
        matrix = weights[its[_FLAT] : last]
        pack(matrix, packed[its[_PACKED] :], side, shape)
        if number > 0:
            pack_turned(matrix, turned[its[_TURNED] :], side, shape)
        for out in range(its[_OUTPUTS]):
            bias[its[_BIAS] + out] = weights[last + out]


@inner
def forward(
    data: _Floats,
    rows: _Numbers,
    features: _Floats,
    layers: _Numbers,
    tables: _Numbers,
    side: int,
    activation: int,
    space: _Room,
    held: _Packs,
) -> None:
    """Fill in the features of a batch, in torch's order, and what the way back needs."""
    images, slopes, winners, _, _, values, _ = space
    for place in range(len(rows)):
        row = rows[place]
        if row < 0 or row >= len(data):
            raise IndexError("a row number is outside the table")
        image, its = images[place], layers[0]
        _enter(data[row], image[its[_IMAGE] :], its, side)
        for number in range(len(layers)):
            its = layers[number]
            part = slice(its[_SQUARE], its[_SQUARE] + _squares(its) * its[_WIDE])
            slope, winner = slopes[place, part], winners[place, part]
            _convolve(image, tables, its, side, activation, space, held, slope, winner)
            if number + 1 < len(layers):
                _hand_on(values, image, layers[number + 1], side)
            else:
                _flatten(values, features[place], its)


@inner
def _convolve(
    image: _Floats,
    tables: _Numbers,
    its: _Numbers,
    side: int,
    activation: int,
    space: _Room,
    held: _Packs,
    slope: _Floats,
    winner: NDArray[np.int32],
) -> None:
    """Convolve one image, pool what is made, and activate that."""
    _, _, _, made, keys, values, _ = space
    high, broad, wide, step = its[_HIGH], its[_BROAD], its[_WIDE], its[_STEP]
    table = tables[its[_FORTH] : its[_BACK]]
    weights, bias = held[0][its[_PACKED] :], held[3][its[_BIAS] :]
    shape = ((broad + side - 1) * step, step, wide)
    slide(image[its[_IMAGE] :], table, weights, bias, made, side, shape)
    size = (high, broad, wide)
    if activation in (_GELU, _SILU):  # the largest before is not the largest after
        for k in range(high * broad * wide):
            keys[k] = bent(made[k], activation)[0]
        pool(keys, size, values, winner)
        regain(made, size, values, winner)
    else:
        pool(made, size, values, winner)
    activate(values[: len(slope)], slope, activation)
    if activation == _SIGMOID:
        for first in range(0, len(slope), wide):
            values[first + its[_OUTPUTS] : first + wide] = 0


@inner
def _enter(row: _Floats, image: _Floats, its: _Numbers, side: int) -> None:
    """Write an example (channels, height, width) into an image, channels last."""
    step, before, line = its[_STEP], its[_BEFORE], (its[_BROAD] + side - 1) * its[_STEP]
    source = 0
    for channel in range(step):
        for y in range(its[_HEIGHT]):
            to = (y + before) * line + before * step + channel
            for x in range(its[_WIDTH]):
                image[to + x * step] = row[source + x]
            source += its[_WIDTH]


@inner
def _hand_on(values: _Floats, image: _Floats, its: _Numbers, side: int) -> None:
    """Write the squares of a layer into the image of the next."""
    step, before, line = its[_STEP], its[_BEFORE], (its[_BROAD] + side - 1) * its[_STEP]
    length = its[_WIDTH] * step
    for y in range(its[_HEIGHT]):
        to = its[_IMAGE] + (y + before) * line + before * step
        for k in range(length):
            image[to + k] = values[y * length + k]


@inner
def _flatten(values: _Floats, features: _Floats, its: _Numbers) -> None:
    """Write squares, channels last, as features, channels first."""
    count, wide = _squares(its), its[_WIDE]
    for channel in range(its[_OUTPUTS]):
        for k in range(count):
            features[channel * count + k] = values[k * wide + channel]


@inner
def _unflatten(features: _Floats, values: _Floats, its: _Numbers) -> None:
    """Do the opposite of `_flatten`."""
    count, wide = _squares(its), its[_WIDE]
    values[: count * wide] = 0
    for channel in range(its[_OUTPUTS]):
        for k in range(count):
            values[k * wide + channel] = features[channel * count + k]


@inner
def _squares(its: _Numbers) -> int:
    return int(((its[_HIGH] + 1) // 2) * ((its[_BROAD] + 1) // 2))


@inner
def backward(
    gradient: _Floats,
    layers: _Numbers,
    tables: _Numbers,
    side: int,
    space: _Room,
    held: _Packs,
) -> None:
    """Add up the gradients of weights and biases from that of a batch's features."""
    images, slopes, winners, made, _, _, downs = space
    for place in range(len(gradient)):
        last = len(layers) - 1
        _unflatten(gradient[place], made, layers[last])
        for number in range(last, -1, -1):
            its = layers[number]
            part = slice(its[_SQUARE], its[_SQUARE] + _squares(its) * its[_WIDE])
            down = downs[its[_DOWN] :]
            _descend(images[place], down, made, slopes[place, part], winners[place, part], its,
                     tables, side, held)  # fmt: skip
            if number > 0:
                step, wide = its[_STEP], its[_WIDE]
                table = tables[its[_BACK] : its[_WITHIN]]
                turned = held[1][its[_TURNED] :]
                shape = ((its[_WIDTH] + side - 1) * wide, wide, step)
                slide(down, table, turned, np.zeros(step, np.float32), made, side, shape)


@inner
def _descend(
    image: _Floats,
    down: _Floats,
    back: _Floats,
    slope: _Floats,
    winner: NDArray[np.int32],
    its: _Numbers,
    tables: _Numbers,
    side: int,
    held: _Packs,
) -> None:
    """Bring the gradient of a layer's squares to its pixels, its bias and its weights."""
    high, broad, wide, step = its[_HIGH], its[_BROAD], its[_WIDE], its[_STEP]
    line, after = (its[_WIDTH] + side - 1) * wide, side - 1 - its[_BEFORE]
    within = down[after * (line + wide) :]
    bias = held[4][its[_BIAS] : its[_BIAS] + wide]
    spread(back, slope, winner, (high, broad, wide), within, line, bias)
    pixels = (tables[its[_FORTH] :], tables[its[_WITHIN] :])
    shape = ((broad + side - 1) * step, step, wide)
    gradient = held[2][its[_GRADIENT] :]
    gradients(image[its[_IMAGE] :], within, gradient, pixels, high * broad, side, shape)


@inner
def renew(
    model: _Model,
    rule: tuple[float, float, float, bool, float, float],
    first: bool,
    layers: _Numbers,
    side: int,
    held: _Packs,
) -> None:
    """Take a step with the gradients that were added up."""
    weights, velocity, start, drift = model
    for number in range(len(layers)):
        its = layers[number]
        shape = (its[_OUTPUTS], its[_INPUTS], its[_WIDE], its[_STEP])
        count = its[_OUTPUTS] * its[_INPUTS] * side * side
        gradient = np.empty(count + its[_OUTPUTS], np.float32)
        unpack(held[2][its[_GRADIENT] :], gradient, side, shape)
        for out in range(its[_OUTPUTS]):
            gradient[count + out] = held[4][its[_BIAS] + out]
        part = slice(its[_FLAT], its[_FLAT] + len(gradient))
        _step(weights[part], gradient, velocity[part], start[part], drift[part], rule, first)
