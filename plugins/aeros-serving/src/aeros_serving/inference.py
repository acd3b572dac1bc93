"""A request for an inference, whichever protocol brought it, on its way to a lane."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from aeros_core.data import Batch
from aeros_core.explanation import METHODS, SUFFIX
from aeros_core.parameters import Array
from aeros_serving.failures import Malformed
from aeros_serving.served import Explain, Served

__all__ = ["STEPS", "Output", "Request", "explain_of", "outputs_of", "patience", "rows_of"]

STEPS = 1000
"""Points at which gradients are taken, at most."""


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
        how: How the answer is to be explained; None: not at all.
        bad: What is wrong with inputs that could not be read; see `Contract.check`.
    """

    id: str
    tensors: dict[str, Array]
    datatypes: dict[str, str]
    outputs: Sequence[Output] = field(default_factory=tuple)
    binary: bool = False
    timeout: float = math.inf
    how: Explain | None = None
    bad: dict[str, str] = field(default_factory=dict)


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


_HOW = ("explain", "explain_target", "explain_steps", "explain_baseline")
"""Parameters that say how an answer is explained."""


def explain_of(parameters: Mapping[str, object]) -> Explain | None:
    """Return how a request wants its answer explained; None: not at all.

    Args:
        parameters: Of the request: ``explain``, and perhaps ``explain_target``,
            ``explain_steps``, ``explain_baseline``.

    Raises:
        Malformed: One of them cannot be.
    """
    if "explain" not in parameters:
        if alone := [name for name in parameters if name.startswith("explain_")]:
            raise Malformed(f"parameter '{alone[0]}' goes with 'explain': {', '.join(METHODS)}")
        return None
    method, target = parameters["explain"], parameters.get("explain_target")
    steps, baseline = parameters.get("explain_steps", 50), parameters.get("explain_baseline")
    if strange := [name for name in parameters if name.startswith("explain") and name not in _HOW]:
        raise Malformed(f"parameter '{strange[0]}' does not exist; they are {', '.join(_HOW)}")
    if not isinstance(method, str) or method not in METHODS:
        raise Malformed(f"parameter 'explain' is {method!r}, not one of {', '.join(METHODS)}")
    if isinstance(target, bool) or not isinstance(target, int | str | None):
        raise Malformed("parameter 'explain_target' is a class, by number or name")
    if type(steps) is not int or not 1 <= steps <= STEPS:
        raise Malformed(f"parameter 'explain_steps' is a number from 1 to {STEPS}, not {steps!r}")
    return Explain(method, target, steps, _number(baseline))


def _number(baseline: object) -> float | None:
    if baseline is None:
        return None
    if isinstance(baseline, bool) or not isinstance(baseline, int | float):
        raise Malformed(f"parameter 'explain_baseline' is a number, not {baseline!r}")
    if not math.isfinite(baseline):
        raise Malformed(f"parameter 'explain_baseline' is {baseline}, which is not finite")
    return float(baseline)


def outputs_of(request: Request, served: Served, answer: Batch) -> list[tuple[Output, Array]]:
    """Return what is asked for of an answer, in the order asked.

    Raises:
        Malformed: An output does not exist, or has no classes.
    """
    if not request.outputs:
        return [(Output(name, request.binary), column) for name, column in answer.items()]
    if request.how is not None and not any(o.name.endswith(SUFFIX) for o in request.outputs):
        told = ", ".join(name for name in answer if name.endswith(SUFFIX))
        raise Malformed(f"'explain' is asked for, and none of its outputs; they are {told}")
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
