"""Networks of dense layers alone: examples go into the first of them as they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeros_torch.engines.compiled import training_loop
from aeros_torch.engines.compiled.dense_head import take
from aeros_torch.kernels.jit import implements

_Floats = NDArray[np.float32]
_Numbers = NDArray[np.int64]
_Rule = tuple[float, float, float, bool, float, float]
_Model = tuple[_Floats, _Floats, _Floats, _Floats]


@implements(training_loop.dense_from, type(None))
def _dense_from(trunk: None) -> int:  # noqa: ARG001 - as there
    return 0


@implements(training_loop.reserve, type(None))
def _reserve(trunk: None, data: _Floats, size: int) -> None:
    pass


@implements(training_loop.load, type(None))
def _load(trunk: None, weights: _Floats, space: None) -> None:
    pass


@implements(training_loop.forward, type(None))
def _forward(
    trunk: None,  # noqa: ARG001 - as there
    data: _Floats,
    rows: _Numbers,
    weights: _Floats,  # noqa: ARG001
    features: _Floats,
    activation: int,  # noqa: ARG001
    space: None,  # noqa: ARG001
) -> None:
    take(data, rows, features)


@implements(training_loop.backward, type(None))
def _backward(
    trunk: None,
    data: _Floats,
    rows: _Numbers,
    down: _Floats,
    model: _Model,
    rule: _Rule,
    first: bool,
    space: None,
) -> None:
    pass
