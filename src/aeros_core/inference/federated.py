"""Inference where the data lie: nodes answer with a stored model, and send what is asked for."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from aeros_core import seeding
from aeros_core.data import Dataset
from aeros_core.errors import ConfigError, TaskError
from aeros_core.federated import completion, run_state, selection
from aeros_core.federated.evaluation import collect_replies
from aeros_core.federated.run_state import RunState
from aeros_core.fields.alignment import SchemaMismatch, SourceSchema, align, without_ranges
from aeros_core.inference import statistics
from aeros_core.messages import Action, Instruction, Predictions
from aeros_core.models import references
from aeros_core.parameters import Parameters
from aeros_core.preprocessing import pipeline
from aeros_core.preprocessing.pipeline import Prepared
from aeros_core.records import Checkpoint, Model
from aeros_core.results import Result, Round, Status
from aeros_core.roles.components import Components
from aeros_core.roles.inferencer import Predictor
from aeros_core.roles.nodes import Nodes
from aeros_core.roles.transformer import Partitioner, Source, Split, SupportsSchema, Transformer
from aeros_core.tasks.round_counters import RoundCounters
from aeros_core.tasks.task import InferenceSplit, Task

__all__ = ["FederatedInference", "model_of", "prepare", "server"]


def model_of(task: Task, parts: Components) -> Model:
    """Return the model that a task answers with, verified.

    Raises:
        ConfigError: None is named.
        RepositoryError: It is damaged or cannot be read.
    """
    if task.start is None:
        raise ConfigError(
            "task=inference answers with a stored model, and none is named",
            hint="task.start=NAME, NAME:VERSION or NAME:TAG; aeros models list",
        )
    name, _, version = task.start.partition(":")
    return parts.repository.model(name, int(version) if version.isdigit() else version)


def prepare(
    transformers: Mapping[str, Transformer | Source | Partitioner], task: Task, model: Model
) -> Prepared:
    """Return the rows to be answered, raw: loaded, and cut into clients.

    The task's own steps stay out: the model brings the steps it was trained with.

    Raises:
        ConfigError: They are no rows that the model takes.
        DataError: The data are damaged, empty, or not finite.
    """
    kept = {
        name: _Rows(step, task.split) if isinstance(step, Source) else step
        for name, step in transformers.items()
        if isinstance(step, Source | Partitioner)
    }
    wanted = _inputs(model)
    for step in transformers.values():
        if isinstance(step, SupportsSchema):
            step.adopt(wanted)
    data = pipeline.prepare(kept, task.seed)
    try:
        rows, _ = align(data.train, replace(wanted, optional=()))
    except SchemaMismatch as error:
        raise SchemaMismatch.of(
            error.differences,
            f"the data are not what model '{model.name}' takes",
            exists=f"the model takes\n{wanted.schema}",
            hint="transformer=[…]: the source of such data, and what cuts them into clients",
        ) from error
    return replace(data, train=rows)


def server(parts: Components, model: Model) -> Callable[[Parameters], Predictor]:
    """Return what makes, of parameters, what answers with a model.

    Raises:
        ConfigError: The parts were put together without what makes it.
    """
    serve = parts.serve
    if serve is None:
        raise ConfigError("nothing here answers with a model", hint="Components(serve=…)")
    return lambda parameters: serve(replace(model, parameters=parameters))


def _inputs(model: Model) -> SourceSchema:
    """Return what rows are brought to: what a model takes, with or without the target.

    Raises:
        ConfigError: The model does not say what it takes.
    """
    before = model.transformers.keys() - set(model.behind)
    told = model.inputs or (None if before else model.schema)
    if told is None:
        raise ConfigError(
            f"model '{model.name}' does not say what its data are before its transformers",
            hint="train it again; models keep this since their inputs are stored",
        )
    return SourceSchema(without_ranges(told), optional=None, labelled=False)


class _Rows:
    """A source of nothing but the rows that are to be answered about."""

    def __init__(self, source: Source, over: InferenceSplit) -> None:
        self._source, self._over = source, over

    def load(self, split: Split) -> Dataset | None:
        """Return them as the training split."""
        if split != "train":
            return None
        names: tuple[Split, ...] = ("train", "test")
        asked = [n for n in names if self._over in (InferenceSplit.all, InferenceSplit[n])]
        found = [data for name in asked if (data := self._source.load(name)) is not None]
        if not found:
            raise ConfigError(
                f"task.split={self._over.name}: the source has no such rows", hint="task.split=all"
            )
        columns = {
            name: np.concatenate([data.batch()[name] for data in found])
            for name in found[0].schema.names
        }
        return Dataset(found[0].schema, columns)


class FederatedInference:
    """Has nodes answer once, and records what they say.

    Args:
        task: What to run; ``cohort``, ``quorum`` and ``deadline`` as in a round of training.
        parts: With what.
        nodes: On whom.
        model: The model they answer with.
    """

    def __init__(self, task: Task, parts: Components, nodes: Nodes, model: Model) -> None:
        self._task, self._parts, self._nodes, self._model = task, parts, nodes, model
        self._breathe = functools.partial(completion.check_control, task, parts)

    def run(self) -> Result:
        """Ask the nodes, and record what they say.

        Raises:
            ConfigError: More nodes are asked for than there are; nothing was begun.
            TaskError: Too few nodes answered.
        """
        task, parts = self._task, self._parts
        selection.check(task, self._nodes)
        began, used = time.monotonic(), references.describe(str(task.start), parts.repository)
        with run_state.opened(task, parts, {}, lambda: self._model.parameters) as here:
            return self._go_on(here, began, used)

    def _go_on(self, here: RunState, began: float, used: Mapping[str, str | int]) -> Result:
        """Ask the nodes unless they have answered, and record how that ends."""
        task, parts, events = self._task, self._parts, self._parts.events
        events.aeros_before_task(task=task, run=here.run, history=tuple(here.history))
        events.aeros_on_status(task=task, status=Status.RUNNING)
        try:
            if not here.history:
                self._ask(here)
            return completion.finish_run(task, parts, here, Status.FINISHED, began, used)
        except BaseException as error:
            self._nodes.abandon()
            completion.fail_run(task, parts, here, began, error)
            raise

    def _ask(self, here: RunState) -> None:
        task, parts, tally, started = self._task, self._parts, RoundCounters(), time.monotonic()
        selection.await_quorum(task, self._nodes, self._breathe)
        names = selection.select(task, self._nodes, 1)
        parts.events.aeros_before_round(task=task, number=1, cohort=names)
        sent = [self._instruction(name) for name in names]
        for scores in collect_replies(Predictions, self._nodes, task, sent, self._breathe, tally):
            tally.accept(scores)
            parts.events.aeros_after_scores(task=task, scores=scores)
        if len(tally.accepted) < task.quorum:
            raise TaskError(
                f"{len(tally.accepted)} nodes answered, task.quorum is {task.quorum}",
                exists=tally.reasons,
                hint="mend what the nodes report, then the same command again",
            )
        ended = time.monotonic()
        done = Round(
            number=1,
            metrics={},
            federated=statistics.merged(tally.accepted.values()),
            training={},
            nodes=tally.accepted,
            refused=tally.refused,
            seconds={"infer": ended - started, "total": ended - started},
            sent=tally.sent,
            received=tally.received,
            dropped=tally.dropped,
        )
        parts.repository.commit(
            here.run.id, Checkpoint(done, self._model.parameters, {}, ended - started)
        )
        here.history.append(done)
        parts.events.aeros_after_round(task=task, round=done, parameters=self._model.parameters)

    def _instruction(self, node: str) -> Instruction:
        return Instruction(
            round=1,
            node=node,
            parameters=self._model.parameters,
            action=Action.INFER,
            seed=seeding.seed(self._task.seed, "infer", node),
            deadline=self._task.deadline,
        )
