"""Update hygiene: what is wrong with an update, if anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from aeros_core.arrays import Vector, on_host
from aeros_core.encoding import Encoded
from aeros_core.federated.updates.reply_limits import (
    MOST_FIGURES,
    MOST_SHARES,
    arrays_fault,
    figures_fault,
)
from aeros_core.messages import Evaluation, Failure, Predictions, Reply, Update
from aeros_core.parameters import Parameters
from aeros_core.tasks.round_counters import Refusal

__all__ = ["MOST_EXAMPLES", "fault", "finite", "of_examples", "within_stated"]

_SHORT = 2**15
"""Elements below which it is quicker to look at each than to be spared warnings."""

_BLOCK = 2**16
"""Elements whose change is measured at once, so that no model is copied for it."""


MOST_EXAMPLES = 2**53
"""Examples that one node may report: what weights, which are float64, hold exactly."""


def of_examples(examples: object, stated: int = 0) -> Refusal | None:
    """Return why a reply's number of examples is refused; None for a good one.

    Args:
        examples: What the reply says: an integer, 1 to 2^53.
        stated: Examples that its node stated when it joined; 0 where that is not known.
    """
    if type(examples) is int and 0 < examples <= min(stated or MOST_EXAMPLES, MOST_EXAMPLES):
        return None
    if isinstance(examples, bool) or not isinstance(examples, (int, np.integer)):
        kind = type(examples).__name__
        return Refusal("examples", f"examples must be an integer, got {kind}")
    count = int(examples)
    if not 0 < count <= MOST_EXAMPLES:
        told = f"{count}" if abs(count) <= MOST_EXAMPLES else "beyond 2^53"
        return Refusal("examples", f"{told} examples")
    if stated and count > stated:
        why = f"claims {count} examples, and stated {stated} when it joined"
        return Refusal("examples", why)
    return None


def within_stated(reply: Reply, stated: int) -> Reply:
    """Return a reply, or the failure of a node that claims more examples than it stated.

    Figures beyond their bounds are a failure, too: a message could not carry them.

    Args:
        reply: What came from a node.
        stated: Examples that the node stated when it joined; 0 where that is not known.
    """
    if isinstance(reply, Failure):
        return reply
    refusal = of_examples(reply.examples, stated) or _of_figures(reply)
    return (
        reply if refusal is None else Failure(reply.node, reply.round, refusal.text, refusal.kind)
    )


def _of_figures(reply: Update | Evaluation | Predictions) -> Refusal | None:
    most = MOST_SHARES if isinstance(reply, Predictions) else MOST_FIGURES
    refusal = figures_fault(reply.metrics, most=most, infinite=True)
    if refusal is None and isinstance(reply, Update):
        refusal = figures_fault(reply.scalars, "scalars", infinite=True)
    return refusal


def fault(reply: Reply, base: Parameters, longest: float | None) -> Refusal | None:
    """Return why a reply cannot be added up; None for a good update.

    Args:
        reply: What came from a node.
        base: The parameters that the update's node started from, or any of their layout
            where it is a difference. Where nodes start at different times, those that it
            is mixed into.
        longest: Largest L2 norm of the change; None: as long as it is.
    """
    if isinstance(reply, Failure):
        return Refusal(reply.kind, reply.reason)
    if not isinstance(reply, Update):
        what = "an evaluation" if isinstance(reply, Evaluation) else "answers"
        return Refusal("not an update", f"{what}, not an update")
    parameters = reply.parameters
    if parameters.layout is not base.layout and parameters.layout != base.layout:
        return Refusal("layout", "another layout than the global parameters")
    if refusal := of_examples(reply.examples):
        return refusal
    if type(parameters.vectors) is Encoded and not reply.delta:
        return Refusal("encoding", "compressed, but not a difference")
    if refusal := _of_vectors(parameters.vectors):
        return refusal
    if reply.vectors and (refusal := _of_extra(reply.vectors, base)):
        return refusal
    if refusal := figures_fault(reply.metrics) or figures_fault(reply.scalars, "scalars"):
        return refusal
    if longest is not None and (norm := change(reply, base)) > longest:
        return Refusal("norm", f"a change of norm {norm:.4g}, above task.max_norm={longest:g}")
    return None


def _of_extra(vectors: Mapping[str, Vector], base: Parameters) -> Refusal | None:
    """Return why vectors that come beside the parameters are refused; None for good ones."""
    if refusal := arrays_fault(vectors, "vectors", sum(base.layout.sizes.values())):
        return refusal
    if all(map(finite, vectors.values())):
        return None
    return Refusal("not finite", "NaN or infinity")


def _of_vectors(vectors: Mapping[str, Vector]) -> Refusal | None:
    if type(vectors) is Encoded:
        wrong = vectors.codec.fault(vectors)
        return Refusal("encoding", wrong) if wrong else None
    for dtype, vector in vectors.items():
        if (name := _name(vector.dtype)) != dtype:
            return Refusal("dtype", f"numbers of {name} where {dtype} was asked for")
        if not finite(vector):
            return Refusal("not finite", "NaN or infinity")
    return None


def finite(vector: Vector) -> bool:
    """Tell whether a vector holds neither NaN nor infinity.

    A long one takes one pass: a sum is finite only if every element is, and one that
    overflows is looked at again element by element.
    """
    if type(vector) is np.ndarray and vector.size < _SHORT:
        return bool(np.isfinite(vector).all())
    squares = type(vector) is np.ndarray and vector.dtype.char in "fd"
    with np.errstate(all="ignore"):  # BLAS makes the pass over squares the fastest there is
        total = float(np.dot(vector, vector) if squares else vector.sum())
    return math.isfinite(total) or bool(np.isfinite(on_host(vector)).all())


def change(update: Update, base: Parameters) -> float:
    """Return the L2 norm of an update's change, float64 sums, over real numbers alone."""
    total = 0.0
    for dtype, vector in update.parameters.vectors.items():
        if np.dtype(dtype).kind != "f":
            continue
        there = None if update.delta else base.vectors[dtype]
        for start in range(0, len(vector), _BLOCK):
            part = np.asarray(on_host(vector[start : start + _BLOCK]), np.float64)
            if there is not None:
                part = part - np.asarray(on_host(there[start : start + _BLOCK]), np.float64)
            total += float(part @ part)
    return math.sqrt(total)


@cache
def _name(dtype: Any) -> str:
    """Return the name of a dtype of numpy or torch; numpy takes its time to say it."""
    return str(dtype).removeprefix("torch.")
