"""The hooks of aeros: what a plugin may register, and what a callback may hear.

A plugin is a module named by an entry point of the group ``aeros``. It says what it
offers with registration hooks, each returning ``{option name: config dataclass}``::

    from dataclasses import dataclass
    from aeros_core import hookimpl

    @dataclass
    class Median:
        _target_: str = "my_package.median.Median"
        trim: float = 0.0

    @hookimpl
    def aeros_collectors():
        return {"median": Median}

The dataclass is the option's configuration: every option with its default and type.
``_target_`` names the class that implements it, imported when the option is chosen and
never before; it takes the options as keyword-only arguments without defaults.

Events are hooks too, on the objects that the group ``callback`` chooses. Installing a
package never changes a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aeros_core.data import Batch
    from aeros_core.messages import Scores, Update
    from aeros_core.outcomes import Result, Round, Status
    from aeros_core.parameters import Parameters
    from aeros_core.records import Model, Run
    from aeros_core.task import Task

__all__ = ["GROUPS", "Callbacks", "Registration", "hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("aeros")
hookimpl = pluggy.HookimplMarker("aeros")
"""Marks a function of a plugin, or a method of a callback, as an implementation."""

GROUPS = {
    "aeros_controllers": "controller",
    "aeros_collectors": "collector",
    "aeros_codecs": "collector/codec",
    "aeros_rules": "collector/rule",
    "aeros_repositories": "repository",
    "aeros_trainers": "trainer",
    "aeros_inferencers": "inferencer",
    "aeros_transformers": "transformer",
    "aeros_models": "trainer/model",
    "aeros_callbacks": "callback",
}
"""The configuration group that each registration hook fills."""


class Registration:
    """Asked once of every plugin, at discovery: what exists."""

    @hookspec
    def aeros_controllers(self) -> Mapping[str, type[Any]]:
        """Offer controllers: ``controller=<option>`` builds a `roles.Controller`."""
        raise NotImplementedError

    @hookspec
    def aeros_collectors(self) -> Mapping[str, type[Any]]:
        """Offer collectors: ``collector=<option>`` builds a `roles.Collector`."""
        raise NotImplementedError

    @hookspec
    def aeros_codecs(self) -> Mapping[str, type[Any]]:
        """Offer compression of updates: ``collector/codec=<option>`` builds a `roles.Codec`.

        It goes with any collector, whose own configuration need not mention it.
        """
        raise NotImplementedError

    @hookspec
    def aeros_rules(self) -> Mapping[str, type[Any]]:
        """Offer collectors to those that hold others: ``collector/rule=<option>``.

        The collector gets a callable, its options bound, that makes a `roles.Collector`.
        One that holds several asks for the others as ``collector/rule@collector.<name>``.
        """
        raise NotImplementedError

    @hookspec
    def aeros_repositories(self) -> Mapping[str, type[Any]]:
        """Offer repositories: ``repository=<option>`` builds a `roles.Repository`."""
        raise NotImplementedError

    @hookspec
    def aeros_trainers(self) -> Mapping[str, type[Any]]:
        """Offer trainers: ``trainer=<option>`` builds a `roles.Trainer`."""
        raise NotImplementedError

    @hookspec
    def aeros_inferencers(self) -> Mapping[str, type[Any]]:
        """Offer inferencers: ``inferencer=<option>`` builds a `roles.Inferencer`."""
        raise NotImplementedError

    @hookspec
    def aeros_transformers(self) -> Mapping[str, type[Any]]:
        """Offer transformers: ``transformer=[<option>,…]`` builds a source, steps, a partitioner.

        See `roles.Source`, `roles.Transformer` and `roles.Partitioner`.
        """
        raise NotImplementedError

    @hookspec
    def aeros_models(self) -> Mapping[str, type[Any]]:
        """Offer models to trainers: ``trainer/model=<option>``.

        ``_target_`` is a class, an ``nn.Module`` for instance, that is called with
        ``inputs`` (shape of one example), ``outputs`` (number of classes or values) and
        the dataclass's options, all by keyword.
        """
        raise NotImplementedError

    @hookspec
    def aeros_callbacks(self) -> Mapping[str, type[Any]]:
        """Offer callbacks: ``callback=[<option>,…]`` builds objects that hear events."""
        raise NotImplementedError


class Callbacks:
    """Heard by the objects of the group ``callback``, in the order of a task's life."""

    @hookspec
    def aeros_before_task(self, task: Task, run: Run, history: Sequence[Round]) -> None:
        """Hear that a task starts as this run, or goes on after the rounds in ``history``."""

    @hookspec
    def aeros_on_status(self, task: Task, status: Status) -> None:
        """Hear that the task has come to another status of its life cycle."""

    @hookspec
    def aeros_before_round(self, task: Task, number: int, cohort: Sequence[str]) -> None:
        """Hear that round ``number`` starts with these nodes."""

    @hookspec
    def aeros_after_update(self, task: Task, update: Update) -> None:
        """Hear that an update was accepted, before it is aggregated."""

    @hookspec
    def aeros_after_scores(self, task: Task, scores: Scores) -> None:
        """Hear what a node answered about its own data, in a task that infers."""

    @hookspec
    def aeros_after_round(self, task: Task, round: Round, parameters: Parameters) -> None:
        """Hear what a round did, once it is committed."""

    @hookspec
    def aeros_after_predict(self, model: Model, batch: Batch, output: Batch) -> None:
        """Hear that a loaded model has answered a batch."""

    @hookspec
    def aeros_after_task(self, task: Task, result: Result) -> None:
        """Hear how a task ended, whichever way."""

    @hookspec
    def aeros_on_error(self, task: Task, error: BaseException) -> None:
        """Hear what ended a task before its time; `aeros_after_task` follows."""
