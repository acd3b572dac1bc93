"""A stored model, ready to answer: its transformers, its inferencer, the steps behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from aeros_core.data import Batch
from aeros_core.errors import ConfigError
from aeros_core.inference.outputs import checked
from aeros_core.preprocessing import pipeline
from aeros_core.records import Model, Module
from aeros_core.roles.events import Events
from aeros_core.roles.inferencer import (
    Count,
    Inferencer,
    SupportsConcurrency,
    SupportsFixedRows,
    SupportsMembers,
    SupportsMetrics,
)
from aeros_core.roles.transformer import SupportsInverse, Transformer
from aeros_core.schema import Field

__all__ = ["Member", "Service"]

_SHOWN = 5
"""Fields that a message names."""


@dataclass(frozen=True, slots=True)
class Service:
    """Answers batches as the model's own data were prepared; nothing is looked up per request.

    Args:
        model: The model, as the repository delivered it.
        steps: Its transformers, in order, in the state in which it was trained.
        inferencer: Has loaded the model.
        events: Where answers are told of.
        after: Those of the steps that go on behind the model, the last of them first.
    """

    model: Model
    steps: Sequence[Transformer]
    inferencer: Inferencer
    events: Events
    after: Sequence[SupportsInverse] = ()

    @property
    def concurrency(self) -> int:
        """Number of threads that may call `predict` at the same time."""
        asked = self.inferencer
        return asked.concurrency if isinstance(asked, SupportsConcurrency) else 1

    @property
    def fixed_rows(self) -> int | None:
        """Number of rows that the inferencer computes at a time; None: any."""
        asked = self.inferencer
        return asked.fixed_rows if isinstance(asked, SupportsFixedRows) else None

    def predict(self, batch: Batch) -> Batch:
        """Return one row of predictions for each row of raw ``batch``.

        Raises:
            PredictionError: The inferencer answered something else.
        """
        answered = self.inferencer.predict(pipeline.transform(self.steps, batch))
        output = pipeline.inverse_transform(self.after, checked(self.inferencer, answered))
        self.events.aeros_after_predict(model=self.model, batch=batch, output=output)
        return output


class Member:
    """An inferencer that another asks: it takes raw batches, and prepares them for itself.

    Args:
        build: Makes its service; called with the model of the one that asks, and free to
            take another.
    """

    def __init__(self, build: Callable[[Model], Service]):
        self._build = build
        self._service: Service | None = None

    def load(self, model: Model, module: Module | None = None) -> None:  # noqa: ARG002
        """Build the service; its configuration names the module."""
        self._service = self._build(model)

    @property
    def concurrency(self) -> int:
        """Number of threads that may call `predict` at the same time; 1 before `load`."""
        return self._service.concurrency if self._service else 1

    def predict(self, batch: Batch) -> Batch:
        """Return one row of predictions for each row of raw ``batch``.

        Raises:
            ConfigError: Nothing was loaded, or the batch is not what its model takes.
        """
        if self._service is None:
            raise ConfigError("no model is loaded", hint="call load first")
        try:
            return self._service.predict(batch)
        except Exception as error:
            if not isinstance(self._service.inferencer, SupportsMembers):
                _check(self._service.model, batch, error)
            raise

    def counts(self) -> Iterable[Count]:
        """Return what its inferencer counts, if it does."""
        inferencer = self._service.inferencer if self._service else None
        return inferencer.counts() if isinstance(inferencer, SupportsMetrics) else ()


def _check(model: Model, batch: Batch, why: Exception) -> None:
    """Tell a batch that is not what a model takes; asked where it did not answer."""
    if model.inputs is None and model.transformers:  # what it takes is not known
        return
    features = (model.inputs or model.schema).features
    if all(f.name in batch and f.fits(batch[f.name].shape[1:]) for f in features):
        return
    given = [Field(n, column.dtype.name, column.shape[1:]) for n, column in batch.items()]
    raise ConfigError(
        f"model '{model.name}' takes {_told(features)}, and is given {_told(given)}",
        hint=f"choose a model that takes this; aeros models show {model.name}",
    ) from why


def _told(fields: Sequence[Field]) -> str:
    shown = [str(field) for field in fields[:_SHOWN]]
    more = f" and {len(fields) - _SHOWN} more" if len(fields) > _SHOWN else ""
    return f"{'; '.join(shown) or 'nothing'}{more}"
