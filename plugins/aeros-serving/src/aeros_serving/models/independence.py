"""Whether a model predicts each row by itself, so that rows of several clients may go together.

Two comparisons find what an imported graph may do. Rows at the same places of batches of one shape
are computed by the same kernels in the same order, so other neighbours change next to nothing
there: that comparison is strict, and finds ``x - mean(x, axis=0)``, running sums and ranges of a
whole batch (dynamic 8 bits); one neighbour is a row of extremes, so that such ranges change. A row
alone may be computed by other kernels than in a batch, in TF32 or bfloat16 perhaps, with errors
near 0.5 %: that comparison is coarse, and finds what depends on the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.errors import RemoteError

__all__ = ["ROWS", "dependence"]

ROWS = 5
"""Rows that are compared."""

_TOGETHER, _OTHERS, _SAME = [0, 1, 2], ([0, 3, 2], [0, 4, 2]), (0, 2)
"""Rows of three batches, and the places at which all have the same row: the first and the last."""

_STRICT, _COARSE = 1e-5, 1e-2
"""Differences relative to the largest value of an output's component over the rows."""

_SLIGHT = 0.1
"""Changes relative to the largest value that rounding to 8 bits, layer after layer, explains."""

_NEGLIGIBLE = 0.1
"""Of these, the part that the largest value of the whole output is allowed for any component."""


def dependence(predict: Callable[[Batch], Batch], rows: Batch) -> str:
    """Return in words how predictions depend on the rows beside; empty: they do not.

    Args:
        predict: The model.
        rows: `ROWS` rows that differ.

    Raises:
        RemoteError: A server that the model asks does not answer.
    """
    together: Batch | None = None
    for places in (_TOGETHER, *_OTHERS):
        try:
            predicted = predict(_taken(rows, places))
        except (RemoteError, KeyboardInterrupt):
            raise
        except BaseException as error:
            return f"several rows at once fail ({type(error).__name__})"
        together = predicted if together is None else together
        if name := _differing(together, predicted, _SAME, _SAME, _STRICT):
            by = _by(name, together, predicted)
            return f"'{name}' of a row changes with the rows beside it{by}"
    assert together is not None  # noqa: S101 - there is a first
    for place in _SAME:
        try:
            alone = predict(_taken(rows, [place]))
        except (RemoteError, KeyboardInterrupt):
            raise
        except BaseException as error:
            return f"a row alone fails ({type(error).__name__})"
        if name := _differing(alone, together, (0,), (place,), _COARSE):
            return f"'{name}' of a row alone differs from that among others"
    return ""


def _by(name: str, one: Batch, other: Batch) -> str:
    """Return by how much an output changes, where that is little; otherwise nothing."""
    first, second = one.get(name), other.get(name)
    if first is None or second is None or first.shape != second.shape:
        return ""
    if first.dtype.kind != "f" or len(first) <= max(_SAME):
        return ""
    left, right = (column[list(_SAME)].astype(np.float64) for column in (first, second))
    with np.errstate(all="ignore"):
        most = float((np.abs(left - right) / _scale(first, second)).max(initial=0.0))
    if not most <= _SLIGHT:
        return ""
    return f", by {most:.2g} of its largest value at most, as if 8 bits had the range of the batch"


def _taken(rows: Batch, places: Sequence[int]) -> Batch:
    return {name: column[places] for name, column in rows.items()}


def _differing(
    one: Batch, other: Batch, here: Sequence[int], there: Sequence[int], tolerance: float
) -> str:
    """Return the first output whose rows differ; empty: none does."""
    if missing := sorted(one.keys() ^ other.keys()):
        return missing[0]
    for name, column in one.items():
        counterpart = other[name]
        if max(here) >= len(column) or max(there) >= len(counterpart):
            return name
        if not _alike(column, counterpart, list(here), list(there), tolerance):
            return name
    return ""


def _alike(one: Array, other: Array, here: list[int], there: list[int], tolerance: float) -> bool:
    first, second = one[here], other[there]
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    if first.dtype.kind != "f":
        return bool((first == second).all())
    left, right = first.astype(np.float64), second.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        same = (left == right) | (np.isnan(left) & np.isnan(right))
        apart = np.abs(left - right)
    return bool((same | (apart <= tolerance * _scale(one, other))).all())


def _scale(one: Array, other: Array) -> Array:
    """Return the magnitude that differences of each component are held against."""
    both = np.abs(np.concatenate([one, other]).astype(np.float64))
    both[~np.isfinite(both)] = 0.0
    scale: Array = np.maximum(both.max(axis=0), _NEGLIGIBLE * both.max(initial=0.0))
    return scale
