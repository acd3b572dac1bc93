"""A stored model, ready to answer: its transformers, its inferencer, the steps behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aeros_core import explanation, pipeline
from aeros_core.data import Batch
from aeros_core.errors import ConfigError
from aeros_core.events import Events
from aeros_core.powers import SupportsAnswers
from aeros_core.records import Model
from aeros_core.roles import Inferencer, Module, Transformer

__all__ = ["Member", "Service"]


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
    after: Sequence[SupportsAnswers] = ()

    def predict(self, batch: Batch) -> Batch:
        """Return one row of predictions for each row of raw ``batch``."""
        output = self.inferencer.predict(pipeline.transform(self.steps, batch))
        output = pipeline.answer(self.after, output)
        self.events.aeros_after_predict(model=self.model, batch=batch, output=output)
        return output

    def explain(self, batch: Batch, **how: Any) -> Batch:
        """Return the answer to raw rows, with what each of their values contributed to it.

        Args:
            batch: Raw rows.
            how: As `explanation.explain` takes it: method, target, steps, baseline.

        Raises:
            ConfigError: What is asked for cannot be.
            PluginError: The inferencer, a transformer or this installation cannot explain.
        """
        output = explanation.explain(self, batch, **how)
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

    def predict(self, batch: Batch) -> Batch:
        """Return one row of predictions for each row of raw ``batch``.

        Raises:
            ConfigError: Nothing was loaded.
        """
        if self._service is None:
            raise ConfigError("no model is loaded", hint="call load first")
        return self._service.predict(batch)
