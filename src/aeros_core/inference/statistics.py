"""What answers say in figures: of one node's, and of many nodes' together.

Figures of a node are ``share.<class>``, the part of its rows that got a label; ``confidence``,
the mean of the highest score; of any other output ``<name>.mean``, ``.std``, ``.min`` and
``.max``. Where the rows have their target, ``accuracy`` (0..1), or ``mae`` and ``rmse`` in the
target's unit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.messages import Metrics
from aeros_core.roles.disclosure import Disclosure
from aeros_core.schema import Field

__all__ = ["disclosure_of", "merged", "of"]


def of(outputs: Batch, target: Field | None, truth: Array | None) -> dict[str, float]:
    """Return the figures of one node's answers.

    Args:
        outputs: The answers, arrays of at least one row.
        target: What the model predicts; its categories are the classes' names.
        truth: The rows' own values of it; None where they have none.
    """
    figures: dict[str, float] = {}
    label, scores = outputs.get("label"), outputs.get("scores")
    names = target.categories if target is not None else None
    if label is not None:
        figures |= _shares(label, names)
        if truth is not None:
            figures["accuracy"] = float((label == truth).mean())
        if scores is not None and scores.ndim == 2:
            figures["confidence"] = float(scores.max(axis=1).mean(dtype=np.float64))
    with np.errstate(over="ignore", invalid="ignore"):  # a model may predict any number
        for name, values in outputs.items():
            if values.dtype.kind == "f" and (label is None or name != "scores"):
                figures |= _spread(name, values.astype(np.float64))
        if label is None and scores is not None and truth is not None:
            figures |= _errors(scores.reshape(len(truth), -1) - truth.reshape(len(truth), -1))
    return figures


def disclosure_of(name: str) -> Disclosure:
    """Return which kind of information a figure sends from a node.

    Args:
        name: Of a figure as `of` returns it, or of any metric: those are means over rows.
    """
    stem, _, kind = name.rpartition(".")
    if name == "examples" or name.startswith("share."):
        return Disclosure.counts
    return Disclosure.extremes if stem and kind in ("min", "max") else Disclosure.sums


def _shares(label: Array, names: Sequence[str] | None) -> dict[str, float]:
    codes, counts = np.unique(label, return_counts=True)
    found = dict(zip(codes.tolist(), counts.tolist(), strict=True))
    known = range(len(names)) if names else sorted(found)
    told = {code: names[code] if names else str(code) for code in known}
    return {f"share.{told[code]}": found.get(code, 0) / label.size for code in known}


def _spread(name: str, values: Array) -> dict[str, float]:
    figures = {"mean": values.mean(), "std": values.std(), "min": values.min(), "max": values.max()}
    return {f"{name}.{kind}": float(value) for kind, value in figures.items()}


def _errors(errors: Array) -> dict[str, float]:
    wide = errors.astype(np.float64)
    return {"mae": float(np.abs(wide).mean()), "rmse": float(np.sqrt(np.square(wide).mean()))}


def merged(rows: Iterable[Metrics]) -> dict[str, float]:
    """Return the figures of all nodes' answers together, exactly those of the rows in one place.

    Args:
        rows: What `of` returned for each node, and ``examples``, the number of its rows.
    """
    found = list(rows)
    names = sorted({name for row in found for name in row} - {"examples"})
    return {name: _merged(name, [row for row in found if name in row]) for name in names}


def _merged(name: str, rows: Sequence[Metrics]) -> float:
    stem, _, kind = name.rpartition(".")
    values = [row[name] for row in rows]
    if kind == "min" and stem:
        return min(values)
    if kind == "max" and stem:
        return max(values)
    if kind == "std" and stem:
        return math.sqrt(_variance(f"{stem}.mean", name, rows))
    if kind == "rmse":
        return math.sqrt(_mean([value * value for value in values], rows))
    return _mean(values, rows)


def _mean(values: Sequence[float], rows: Sequence[Mapping[str, float]]) -> float:
    total = math.fsum(row["examples"] for row in rows)
    weighted = [row["examples"] * value for row, value in zip(rows, values, strict=True)]
    try:
        return math.fsum(weighted) / total
    except (OverflowError, ValueError):  # beyond the range of floats, or infinities of both signs
        return sum(weighted) / total


def _square(value: float) -> float:
    """Return the square; infinity where it is beyond the range of floats."""
    try:
        return value**2
    except OverflowError:
        return math.inf


def _variance(mean: str, std: str, rows: Sequence[Metrics]) -> float:
    """Return the variance of all rows: within nodes, and of the nodes' means."""
    middle = _mean([row[mean] for row in rows], rows)
    return _mean([_square(row[std]) + _square(row[mean] - middle) for row in rows], rows)
