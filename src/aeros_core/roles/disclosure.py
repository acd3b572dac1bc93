"""Kinds of information that leave a node, and which part of a task sends which.

A part declares them in a class attribute, so that a site can decide before anything is sent::

    class Standardise:
        discloses = frozenset({Disclosure.counts, Disclosure.sums})

A part without the attribute counts as `Disclosure.undeclared`, which no policy allows unless
it names it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol, runtime_checkable

__all__ = ["Disclosure", "SupportsDisclosure", "disclosed_by"]


class Disclosure(StrEnum):
    """A kind of information about a node's rows that is sent to the task side.

    Attributes:
        counts: Numbers of rows, also per class or of values outside the known categories.
        sums: Sums, means, deviations and rates over rows, also the loss and metrics.
        extremes: Smallest and largest values that were observed.
        histogram: Counts of rows between edges that do not depend on the rows.
        categories: Names of categories that a column holds.
        updates: Trained parameters, or their change.
        predictions: One prediction for each row.
        explanations: What each value of a row contributed to its prediction.
        rows: Values of rows as they are.
        undeclared: Unknown, because the part does not declare what it sends.
    """

    counts = "counts"
    sums = "sums"
    extremes = "extremes"
    histogram = "histogram"
    categories = "categories"
    updates = "updates"
    predictions = "predictions"
    explanations = "explanations"
    rows = "rows"
    undeclared = "undeclared"


@runtime_checkable
class SupportsDisclosure(Protocol):
    """A fitted step, a trainer or a metric that declares what it sends from a node."""

    @property
    def discloses(self) -> frozenset[Disclosure]:
        """Kinds of information that leave a node because of this part."""


def disclosed_by(part: object) -> frozenset[Disclosure]:
    """Return the kinds of information that a part sends from a node.

    Args:
        part: A fitted step, a trainer, or any other part whose output leaves the node.

    Returns:
        What it declares; `Disclosure.undeclared` alone where it declares nothing usable.
    """
    declared: object = part.discloses if isinstance(part, SupportsDisclosure) else None
    if not isinstance(declared, frozenset) or not all(isinstance(k, Disclosure) for k in declared):
        return frozenset({Disclosure.undeclared})
    return declared
