"""Summaries of rows as nodes send them, held against what a step's summary has to be."""

from __future__ import annotations

import math

import numpy as np

from aeros_core.messages import State

__all__ = ["fault"]

_LARGEST = 2**53
"""Counts up to here are exact as floats."""


def fault(summary: State, like: State) -> str:
    """Return in words what is wrong with a summary; empty where nothing is.

    Args:
        summary: What a node sent.
        like: A summary of the same step over other rows.
    """
    if summary.keys() != like.keys():
        return "it has other entries than the step's"
    for name, wanted in like.items():
        if why := _entry(summary[name], wanted):
            return f"{name} {why}"
    return ""


def _entry(value: object, wanted: object) -> str:
    if isinstance(wanted, np.ndarray):
        return _array(value, wanted)
    if isinstance(wanted, bool | str):
        return "" if type(value) is type(wanted) else "is of another kind"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "is not a number"
    if isinstance(wanted, int) and not (isinstance(value, int) and 0 <= value <= _LARGEST):
        return "is not a count"
    return "" if math.isfinite(value) else "is not finite"


def _array(value: object, wanted: np.ndarray) -> str:
    if not isinstance(value, np.ndarray) or value.shape != wanted.shape:
        return "has another shape"
    if value.dtype.kind != wanted.dtype.kind:
        return "is of another dtype"
    return "" if value.dtype.kind != "f" or np.isfinite(value).all() else "is not finite"
