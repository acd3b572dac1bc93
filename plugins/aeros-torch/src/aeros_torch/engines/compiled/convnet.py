"""Convolutions with max pooling, and dense layers behind them; see `convolution_stack`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aeros_torch.engines.compiled import convolution_stack, training_loop
from aeros_torch.kernels.jit import implements

__all__ = ["Trunk"]

_Floats = NDArray[np.float32]
_Numbers = NDArray[np.int64]
_Rule = tuple[float, float, float, bool, float, float]
_Model = tuple[_Floats, _Floats, _Floats, _Floats]
_Packs = tuple[_Floats, _Floats, _Floats, _Floats, _Floats]
_Room = tuple[_Floats, _Floats, NDArray[np.int32], _Floats, _Floats, _Floats, _Floats]
_Space = tuple[_Room, _Packs]

_end, _room, _packs = convolution_stack.end, convolution_stack.buffer_size, convolution_stack.packs
_pack, _through, _back, _renew = (
    convolution_stack.load,
    convolution_stack.forward,
    convolution_stack.backward,
    convolution_stack.renew,
)


class Trunk(NamedTuple):
    """Convolutions, one behind the other; an image is (channels, height, width) in the table.

    Args:
        layers: As `convolution_plan.Plan` has it, and so are ``rooms`` and ``tables``.
        rooms: As there.
        tables: As there.
        side: Pixels in a row of a kernel.
    """

    layers: _Numbers
    rooms: _Numbers
    tables: _Numbers
    side: int


@implements(training_loop.dense_from, Trunk)
def _dense_from(trunk: Trunk) -> int:
    return _end(trunk.layers, trunk.side)


@implements(training_loop.reserve, Trunk)
def _reserve(trunk: Trunk, data: _Floats, size: int) -> _Space:  # noqa: ARG001 - as there
    return _room(trunk.rooms, size), _packs(trunk.rooms)


@implements(training_loop.load, Trunk)
def _load(trunk: Trunk, weights: _Floats, space: _Space) -> None:
    _pack(weights, trunk.layers, trunk.side, space[1])


@implements(training_loop.forward, Trunk)
def _forward(
    trunk: Trunk,
    data: _Floats,
    rows: _Numbers,
    weights: _Floats,  # noqa: ARG001 - packed in ``space``
    features: _Floats,
    activation: int,
    space: _Space,
) -> None:
    layers, tables, side = trunk.layers, trunk.tables, trunk.side
    _through(data, rows, features, layers, tables, side, activation, space[0], space[1])


@implements(training_loop.backward, Trunk)
def _backward(
    trunk: Trunk,
    data: _Floats,  # noqa: ARG001 - in ``space``
    rows: _Numbers,  # noqa: ARG001
    down: _Floats,
    model: _Model,
    rule: _Rule,
    first: bool,
    space: _Space,
) -> None:
    _back(down, trunk.layers, trunk.tables, trunk.side, space[0], space[1])
    _renew(model, rule, first, trunk.layers, trunk.side, space[1])
