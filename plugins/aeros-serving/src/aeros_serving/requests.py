"""A request for an inference, whichever protocol brought it, on its way to a lane."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.inference.explanation import METHODS, SUFFIX
from aeros_serving.models.version import Explain, LoadedVersion
from aeros_serving.protocol.errors import Malformed, shown

__all__ = [
    "LARGE",
    "STEPS",
    "Output",
    "Request",
    "answer_cost",
    "explain_of",
    "outputs_of",
    "patience",
    "refuse_sequence",
    "rows_of",
    "run_by_cost",
]

STEPS = 1000
"""Points at which gradients are taken, at most."""

LARGE = 65536
"""Cost above which work leaves the event loop: about 2 ms. One is about a byte of JSON decoded."""

MOST_BAD = 100
"""Inputs that cannot be read, after which no more of a request is looked at."""

T = TypeVar("T")


async def run_by_cost(cost: int, work: Callable[[], T]) -> T:
    """Return what a function returns, which is called in a thread where it costs much.

    There is one thread: decoding holds the interpreter's lock most of the time, so more of them
    would answer nothing sooner, and would keep the event loop from its turn.

    Args:
        cost: Of decoding and checking a request (``cost`` of either codec) or of encoding an
            answer (`answer_cost`).
        work: What to call.
    """
    if cost <= LARGE:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_thread(), work)


@functools.cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "codec")


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
        bad: What is wrong with inputs that could not be read; see `InputSchema.check`.
    """

    id: str
    tensors: dict[str, Array]
    datatypes: dict[str, str]
    outputs: Sequence[Output] = field(default_factory=tuple)
    binary: bool = False
    timeout: float = math.inf
    how: Explain | None = None
    bad: dict[str, str] = field(default_factory=dict)

    def ask(self, outputs: Sequence[Output]) -> None:
        """Take up which outputs are asked for.

        Raises:
            Malformed: One is asked for twice: the answer would be larger than request and rows.
        """
        names = set[str]()
        for output in outputs:
            if output.name in names:
                raise Malformed(f"output '{output.name}' is asked for twice")
            names.add(output.name)
        self.outputs = outputs

    def unreadable(self, what: str, why: str) -> None:
        """Note what is wrong with an input, to be told with the rest.

        Raises:
            Malformed: So many inputs are unreadable that the rest is not looked at.
        """
        self.bad.setdefault(what, why)
        if len(self.bad) > MOST_BAD:
            told = list(self.bad.values())[: MOST_BAD // 10]
            raise Malformed("; ".join([*told, f"more than {MOST_BAD} inputs cannot be read"]))


def rows_of(batch: Batch) -> int:
    """Return the number of rows of a checked batch."""
    return len(next(iter(batch.values())))


def patience(microseconds: object) -> float:
    """Return the seconds of the parameter ``timeout``.

    Raises:
        Malformed: It is no positive integer.
    """
    if type(microseconds) is not int or microseconds < 0:
        raise Malformed(f"parameter 'timeout' is microseconds, not {shown(microseconds)}")
    return microseconds / 1e6 if microseconds else math.inf


def refuse_sequence(parameters: Mapping[str, object]) -> None:
    """Refuse a request that belongs to a sequence: models here keep no state between requests.

    Raises:
        Malformed: The parameter ``sequence_id`` is there, and not 0 or empty.
    """
    if parameters.get("sequence_id"):
        raise Malformed(
            "parameter 'sequence_id': sequences are not supported, as models keep no state"
            " between requests; ask without it"
        )


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
        raise Malformed(f"parameter 'explain' is {shown(method)}, not one of {', '.join(METHODS)}")
    if isinstance(target, bool) or not isinstance(target, int | str | None):
        raise Malformed("parameter 'explain_target' is a class, by number or name")
    if type(steps) is not int or not 1 <= steps <= STEPS:
        told = f"parameter 'explain_steps' is a number from 1 to {STEPS}, not {shown(steps)}"
        raise Malformed(told)
    return Explain(method, target, steps, _number(baseline))


def _number(baseline: object) -> float | None:
    if baseline is None:
        return None
    if isinstance(baseline, bool) or not isinstance(baseline, int | float):
        raise Malformed(f"parameter 'explain_baseline' is a number, not {shown(baseline)}")
    if not math.isfinite(baseline):
        raise Malformed(f"parameter 'explain_baseline' is {baseline}, which is not finite")
    return float(baseline)


def outputs_of(
    request: Request, served: LoadedVersion, answer: Batch
) -> list[tuple[Output, Array]]:
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


def answer_cost(request: Request, answer: Batch) -> int:
    """Return what encoding an answer costs, see `LARGE`.

    Args:
        request: Says which outputs are asked for, and whether as binary data.
        answer: The model's.
    """
    asked = {output.name: output for output in request.outputs}
    cost = 0
    for name, column in answer.items():
        output = asked.get(name)
        if asked and output is None:
            continue
        if output is not None and output.classes:
            cost += 40 * len(column) * min(output.classes, column.size)
        elif column.dtype.kind in "USTO":
            cost += 8 * column.size
        else:
            binary = request.binary if output is None else output.binary
            cost += column.nbytes // 64 if binary else 2 * column.size
    return cost


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
