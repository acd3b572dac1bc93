"""What an inferencer answers, looked at before anybody relies on it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aeros_core.data import Batch
from aeros_core.errors import PredictionError
from aeros_core.roles.inferencer import Inferencer

__all__ = ["checked", "named"]


def checked(inferencer: Inferencer, answer: object) -> Batch:
    """Return an answer that is arrays by name.

    Raises:
        PredictionError: It is something else; the inferencer is named.
    """
    if not isinstance(answer, Mapping):
        raise _wrong(inferencer, f"with {_a(answer)}, not a dict of arrays")
    for name, column in answer.items():
        if not isinstance(name, str):
            raise _wrong(inferencer, f"with {_a(name)} for a name, not a str")
        if not isinstance(column, np.ndarray):
            raise _wrong(inferencer, f"'{name}' with {_a(column)}, not an array")
        if not column.ndim:
            raise _wrong(inferencer, f"'{name}' with one value, not an array of rows")
        if column.dtype.kind == "O":
            for value in column.flat:
                if not isinstance(value, str | bytes):
                    told = f"'{name}' with an array that holds {_a(value)}, not str or bytes alone"
                    raise _wrong(inferencer, told)
    return answer


def named(inferencer: Inferencer) -> str:
    """Return where an inferencer comes from: module and class."""
    return f"{type(inferencer).__module__}.{type(inferencer).__qualname__}"


def _wrong(inferencer: Inferencer, how: str) -> PredictionError:
    return PredictionError(
        f"inferencer {named(inferencer)} answered {how}",
        hint="predict returns {name: numpy array, one row for each row of the batch}",
    )


def _a(value: object) -> str:
    """Return what a value is, in a word with its article."""
    kind = type(value).__name__
    if value is None:
        return "None"
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
