"""A request for an inference, whichever protocol brought it, on its way to a lane."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from aeros_core.data import Batch
from aeros_core.parameters import Array
from aeros_serving.failures import Malformed
from aeros_serving.served import Served

__all__ = ["Output", "Request", "outputs_of", "patience", "rows_of"]


@dataclass(frozen=True, slots=True)
class Output:
    """An output that is asked for.

    Args:
        name: Its name.
        binary: Whether as binary data.
        classes: The so many best instead of the values; 0: the values.
    """

    name: str
    binary: bool = False
    classes: int = 0


@dataclass(slots=True)
class Request:
    """A request for an inference, decoded.

    Args:
        id: What the answer is to be called; empty: nothing.
        tensors: By the name of the input.
        datatypes: As the request calls them.
        outputs: What is asked for; empty: everything.
        binary: Whether what is asked for comes as binary data where it does not say.
        timeout: Seconds it may wait.
    """

    id: str
    tensors: Mapping[str, Array]
    datatypes: Mapping[str, str]
    outputs: Sequence[Output] = field(default_factory=tuple)
    binary: bool = False
    timeout: float = math.inf


def rows_of(batch: Batch) -> int:
    """Return the number of rows of a checked batch."""
    return len(next(iter(batch.values())))


def patience(microseconds: object) -> float:
    """Return the seconds of the parameter ``timeout``.

    Raises:
        Malformed: It is no positive integer.
    """
    if type(microseconds) is not int or microseconds < 0:
        raise Malformed(f"parameter 'timeout' is microseconds, not {microseconds!r}")
    return microseconds / 1e6 if microseconds else math.inf


def outputs_of(request: Request, served: Served, answer: Batch) -> list[tuple[Output, Array]]:
    """Return what is asked for of an answer, in the order asked.

    Raises:
        Malformed: An output does not exist, or has no classes.
    """
    if not request.outputs:
        return [(Output(name, request.binary), column) for name, column in answer.items()]
    found = []
    for output in request.outputs:
        if output.name not in answer:
            told = ", ".join(answer)
            raise Malformed(f"output '{output.name}' does not exist; outputs: {told}")
        column = answer[output.name]
        found.append((output, _best(output, column, served.labels) if output.classes else column))
    return found


def _best(output: Output, column: Array, labels: Sequence[str]) -> Array:
    """Return ``value:index:label`` of each row's best (classification extension)."""
    if column.dtype.kind not in "iuf" or column.ndim != 2:
        raise Malformed(f"output '{output.name}' has no classes")
    order = np.argsort(-column, axis=1, kind="stable")[:, : output.classes]
    best = np.empty(order.shape, dtype=object)
    for (row, rank), place in np.ndenumerate(order):
        index = int(place)
        label = f":{labels[index]}" if index < len(labels) else ""
        best[row, rank] = f"{column[row, index]:f}:{index}{label}".encode()
    return best
