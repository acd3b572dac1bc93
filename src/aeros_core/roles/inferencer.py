"""Answer batches with a loaded model; what only some inferencers can do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.records import Model, Module

__all__ = [
    "Count",
    "Inferencer",
    "Predictor",
    "SupportsConcurrency",
    "SupportsExplanation",
    "SupportsFixedRows",
    "SupportsMembers",
    "SupportsMetrics",
]


@runtime_checkable
class Inferencer(Protocol):
    """Answers batches with a loaded model."""

    def load(self, model: Model, module: Module | None = None) -> None:
        """Take a model up; ``module`` is what its configuration names, if anything."""

    def predict(self, batch: Batch) -> Batch:
        """Return predictions, one row for each row of ``batch``."""


class Predictor(Protocol):
    """What answers with a loaded model: rows as they come, prepared for it as it asks."""

    def predict(self, batch: Batch) -> Batch:
        """Return predictions, one row for each row of ``batch``."""


@runtime_checkable
class SupportsConcurrency(Protocol):
    """An inferencer whose ``predict`` several threads may call at the same time.

    For those that mostly wait, such as for another server: while one batch is under way, a
    server sends the next. An inferencer without it is called by one thread at a time.
    """

    @property
    def concurrency(self) -> int:
        """Number of batches that may be predicted at the same time, 1 or more.

        It is read once a model is loaded.
        """


@runtime_checkable
class SupportsExplanation(Protocol):
    """An inferencer whose answers can be attributed to what it was given."""

    def explain(
        self, batch: Batch, columns: NDArray[np.int64], *, steps: int, baseline: Batch | None
    ) -> tuple[Batch, Array]:
        """Return what each value of prepared rows contributed, by integrated gradients.

        Args:
            batch: Prepared rows.
            columns: Which of the scores is explained, for each row (rows,).
            steps: Points at which gradients are taken.
            baseline: Rows to start from; None: zeros.

        Returns:
            For every feature its shares, in its shape; the score at the baseline (rows,).

        Raises:
            PluginError: A library is missing, or this model has no gradients.
        """


@runtime_checkable
class SupportsFixedRows(Protocol):
    """An inferencer whose model may compute a fixed number of rows at a time.

    It answers any number all the same, one such batch after another; there is nothing to be
    gained by larger ones.
    """

    @property
    def fixed_rows(self) -> int | None:
        """Rows that the loaded model computes at a time; None: any number."""


@runtime_checkable
class SupportsMembers(Protocol):
    """An inferencer that asks others: a graph of several models, here or elsewhere."""

    @property
    def members(self) -> Mapping[str, Mapping[str, Any]]:
        """What each of them is, by name.

        ``model`` names a version in the repository, None the model that is loaded;
        ``inferencer`` is a configuration, None what goes with the model.
        """

    def take(self, members: Mapping[str, Inferencer]) -> None:
        """Take them; ``load`` loads them, and each is given raw batches."""


@dataclass(frozen=True, slots=True)
class Count:
    """A number at the moment it is asked for.

    Args:
        name: Name of the metric as Prometheus has it; of one that only grows it ends in
            ``_total``.
        what: What it is, in a few words.
        value: The number.
        labels: What tells it from others of its name.
    """

    name: str
    what: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class SupportsMetrics(Protocol):
    """An inferencer that counts what it does; a server shows it among its metrics."""

    def counts(self) -> Iterable[Count]:
        """Return what there is to count now; called while requests are answered."""
