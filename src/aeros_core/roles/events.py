"""What a running task tells those who listen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aeros_core.data import Batch
from aeros_core.messages import Predictions, Update
from aeros_core.parameters import Parameters
from aeros_core.records import Model, Run
from aeros_core.results import Result, Round, Status
from aeros_core.tasks.task import Task

__all__ = ["Events"]


class Events(Protocol):
    """Where a running task tells what happens; see `aeros_core.hookspecs`."""

    def aeros_before_task(self, *, task: Task, run: Run, history: Sequence[Round]) -> object:
        """See `hookspecs.Callbacks.aeros_before_task`."""

    def aeros_on_status(self, *, task: Task, status: Status) -> object:
        """See `hookspecs.Callbacks.aeros_on_status`."""

    def aeros_before_round(self, *, task: Task, number: int, cohort: Sequence[str]) -> object:
        """See `hookspecs.Callbacks.aeros_before_round`."""

    def aeros_after_update(self, *, task: Task, update: Update) -> object:
        """See `hookspecs.Callbacks.aeros_after_update`."""

    def aeros_after_scores(self, *, task: Task, scores: Predictions) -> object:
        """See `hookspecs.Callbacks.aeros_after_scores`."""

    def aeros_after_round(self, *, task: Task, round: Round, parameters: Parameters) -> object:
        """See `hookspecs.Callbacks.aeros_after_round`."""

    def aeros_after_predict(self, *, model: Model, batch: Batch, output: Batch) -> object:
        """See `hookspecs.Callbacks.aeros_after_predict`."""

    def aeros_after_task(self, *, task: Task, result: Result) -> object:
        """See `hookspecs.Callbacks.aeros_after_task`."""

    def aeros_on_error(self, *, task: Task, error: BaseException) -> object:
        """See `hookspecs.Callbacks.aeros_on_error`."""
