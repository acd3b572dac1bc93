"""Kernels of an LSTM's gates: from the sums that open them to a state, and back.

The gates of a step are four parts of a row: input, forget, cell, output.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeros_torch.kernels.jit import inner

__all__ = ["close", "open_", "sigmoid", "tanh"]

_Floats = NDArray[np.float32]

_ODD = tuple(np.float32(c) for c in (
    4.89352455891786e-03, 6.37261928875436e-04, 1.48572235717979e-05, 5.12229709037114e-08,
    -8.60467152213735e-11, 2.00018790482477e-13, -2.76076847742355e-16,
))  # fmt: skip
_EVEN = tuple(np.float32(c) for c in (
    4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06,
))  # fmt: skip
_END = np.float32(7.90531110763549805)


@inner
def tanh(x: np.float32) -> np.float32:
    """Return tanh to a few units in the last place, from arithmetic that runs on vectors.

    A rational function, as in Eigen (``generic_fast_tanh_float``), constant where tanh is 1.
    """
    y = _END if x > _END else (-_END if x < -_END else x)
    z = y * y
    a, b = _ODD, _EVEN
    over = a[6]
    over = over * z + a[5]
    over = over * z + a[4]
    over = over * z + a[3]
    over = over * z + a[2]
    over = over * z + a[1]
    over = over * z + a[0]
    under = b[3]
    under = under * z + b[2]
    under = under * z + b[1]
    under = under * z + b[0]
    return np.float32(y * over / under)


@inner
def sigmoid(x: np.float32) -> np.float32:
    """Return the logistic function, to 1e-7."""
    half = np.float32(0.5)
    return half * tanh(half * x) + half


@inner
def open_(
    gates: _Floats, cells: _Floats, states: _Floats, tanhs: _Floats, row: int, each: int
) -> None:
    """Open the gates of a sequence's step: write its cell, its tanh and its state.

    Args:
        gates: Sums (4 widths,), replaced by what the gates let through.
        cells: All cells (rows, width): that of the step before is at ``row``.
        states: Written at ``row + each``, like the new cell.
        tanhs: Filled with tanh of the cell (width,).
        row: Of the step.
        each: Rows from one step to the next.
    """
    wide = len(tanhs)
    i, f = gates[:wide], gates[wide : 2 * wide]
    g, o = gates[2 * wide : 3 * wide], gates[3 * wide :]
    before, cell, state = cells[row], cells[row + each], states[row + each]
    for k in range(wide):
        i[k], f[k], g[k], o[k] = sigmoid(i[k]), sigmoid(f[k]), tanh(g[k]), sigmoid(o[k])
    for k in range(wide):
        cell[k] = f[k] * before[k] + i[k] * g[k]
        tanhs[k] = tanh(cell[k])
        state[k] = o[k] * tanhs[k]


@inner
def close(gates: _Floats, before: _Floats, tanhs: _Floats, down: _Floats, lost: _Floats) -> None:
    """Turn what gates let through into the gradient to their sums.

    Args:
        gates: (4 widths,), replaced.
        before: Cell of the step before (width,).
        tanhs: As `open_` filled it.
        down: Gradient to the state.
        lost: Gradient to the cell from the step behind; replaced by that to the cell before.
    """
    wide, one = len(tanhs), np.float32(1)
    i, f = gates[:wide], gates[wide : 2 * wide]
    g, o = gates[2 * wide : 3 * wide], gates[3 * wide :]
    for k in range(wide):
        cell = lost[k] + down[k] * o[k] * (one - tanhs[k] * tanhs[k])
        lost[k] = cell * f[k]
        into, forget, new, out = i[k], f[k], g[k], o[k]
        o[k] = down[k] * tanhs[k] * out * (one - out)
        f[k] = cell * before[k] * forget * (one - forget)
        i[k] = cell * new * into * (one - into)
        g[k] = cell * into * (one - new * new)
