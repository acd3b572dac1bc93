"""Events: hooks on the objects that the group ``callback`` chooses.

A callback implements those that it needs, with as many of the arguments as it needs.
Installing a package never changes a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeros_core.hooks.hook_markers import hookspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aeros_core.data import Batch
    from aeros_core.messages import Predictions, Update
    from aeros_core.parameters import Parameters
    from aeros_core.records import Model, Run
    from aeros_core.results import Result, Round, Status
    from aeros_core.tasks.task import Task

__all__ = ["Callbacks"]


class Callbacks:
    """Received by the objects of the group ``callback``, in the order of a task's life."""

    @hookspec
    def aeros_before_task(self, task: Task, run: Run, history: Sequence[Round]) -> None:
        """Receive that a task starts as this run, or goes on after the rounds in ``history``.

        Example::

            from aeros_core import hookimpl

            class Resumed:
                @hookimpl
                def aeros_before_task(self, run, history):
                    print(run.id, "goes on after", len(history), "rounds")
        """

    @hookspec
    def aeros_on_status(self, task: Task, status: Status) -> None:
        """Receive the task's new status of its life cycle.

        Example::

            from aeros_core import hookimpl

            class Log:
                @hookimpl
                def aeros_on_status(self, status):
                    print("status", status.name)
        """

    @hookspec
    def aeros_before_round(self, task: Task, number: int, cohort: Sequence[str]) -> None:
        """Receive that round ``number`` starts with these nodes.

        Example::

            from aeros_core import hookimpl

            class Selected:
                @hookimpl
                def aeros_before_round(self, number, cohort):
                    print("round", number, "selects", *cohort)
        """

    @hookspec
    def aeros_after_update(self, task: Task, update: Update) -> None:
        """Receive an update that was accepted, before it is aggregated.

        Example::

            from aeros_core import hookimpl

            class Examples:
                @hookimpl
                def aeros_after_update(self, update):
                    print(update.node, update.examples)
        """

    @hookspec
    def aeros_after_scores(self, task: Task, scores: Predictions) -> None:
        """Receive a node's predictions over its own data, in a task that infers.

        Example::

            from aeros_core import hookimpl

            class Predicted:
                @hookimpl
                def aeros_after_scores(self, scores):
                    print(scores.node, scores.examples)
        """

    @hookspec
    def aeros_after_round(self, task: Task, round: Round, parameters: Parameters) -> None:
        """Receive the outcome of a round, once it is committed.

        Example::

            from aeros_core import hookimpl

            class Losses:
                @hookimpl
                def aeros_after_round(self, round):
                    print(round.number, round.metrics["loss"])
        """

    @hookspec
    def aeros_after_predict(self, model: Model, batch: Batch, output: Batch) -> None:
        """Receive the predictions of a loaded model for a batch.

        Example::

            from aeros_core import hookimpl

            class Counted:
                @hookimpl
                def aeros_after_predict(self, model, output):
                    print(model.name, "predicts", *output)
        """

    @hookspec
    def aeros_after_task(self, task: Task, result: Result) -> None:
        """Receive the outcome of a task, whichever way it ended.

        Example::

            from aeros_core import hookimpl

            class Outcome:
                @hookimpl
                def aeros_after_task(self, result):
                    print("ended as", result.status.name)
        """

    @hookspec
    def aeros_on_error(self, task: Task, error: BaseException) -> None:
        """Receive what ended a task before its time; `aeros_after_task` follows.

        Example::

            from aeros_core import hookimpl

            class Alarm:
                @hookimpl
                def aeros_on_error(self, task, error):
                    print(task.name, "failed:", error)
        """
