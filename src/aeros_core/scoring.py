"""Inference where the data lie: nodes answer with a stored model, and send what is asked for."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from aeros_core import cohort, ending, figures, origin, pipeline, sitting, streams
from aeros_core.alignment import SchemaMismatch, SourceSchema, align, without_ranges
from aeros_core.data import Dataset
from aeros_core.errors import ConfigError, TaskError
from aeros_core.intake import Nodes
from aeros_core.messages import Action, Instruction, Scores
from aeros_core.outcomes import Result, Round, Status
from aeros_core.parameters import Parameters
from aeros_core.pipeline import Prepared
from aeros_core.powers import SupportsSchema
from aeros_core.records import Checkpoint, Model
from aeros_core.roles import Components, Partitioner, Predictor, Source, Split, Transformer
from aeros_core.sitting import Sitting
from aeros_core.survey import gather
from aeros_core.tally import Tally
from aeros_core.task import Over, Task

__all__ = ["Scoring", "model_of", "prepare", "server"]


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
        name: _Rows(step, task.over) if isinstance(step, Source) else step
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

    def __init__(self, source: Source, over: Over) -> None:
        self._source, self._over = source, over

    def load(self, split: Split) -> Dataset | None:
        """Return them as the training split."""
        if split != "train":
            return None
        names: tuple[Split, ...] = ("train", "test")
        asked = [n for n in names if self._over in (Over.all, Over[n])]
        found = [data for name in asked if (data := self._source.load(name)) is not None]
        if not found:
            raise ConfigError(
                f"task.over={self._over.name}: the source has no such rows", hint="task.over=all"
            )
        columns = {
            name: np.concatenate([data.batch()[name] for data in found])
            for name in found[0].schema.names
        }
        return Dataset(found[0].schema, columns)


class Scoring:
    """Has nodes answer once, and records what they say.

    Args:
        task: What to run; ``cohort``, ``quorum`` and ``deadline`` as in a round of training.
        parts: With what.
        nodes: On whom.
        model: The model they answer with.
    """

    def __init__(self, task: Task, parts: Components, nodes: Nodes, model: Model) -> None:
        self._task, self._parts, self._nodes, self._model = task, parts, nodes, model
        self._breathe = functools.partial(ending.breathe, task, parts)

    def run(self) -> Result:
        """Ask the nodes, and record what they say.

        Raises:
            ConfigError: More nodes are asked for than there are; nothing was begun.
            TaskError: Too few nodes answered.
        """
        task, parts = self._task, self._parts
        cohort.check(task, self._nodes)
        began, used = time.monotonic(), origin.used(str(task.start), parts.repository)
        with sitting.opened(task, parts, {}, lambda: self._model.parameters) as here:
            return self._go_on(here, began, used)

    def _go_on(self, here: Sitting, began: float, used: Mapping[str, str | int]) -> Result:
        """Ask the nodes unless they have answered, and record how that ends."""
        task, parts, events = self._task, self._parts, self._parts.events
        events.aeros_before_task(task=task, run=here.run, history=tuple(here.history))
        events.aeros_on_status(task=task, status=Status.RUNNING)
        try:
            if not here.history:
                self._ask(here)
            return ending.conclude(task, parts, here, Status.FINISHED, began, used)
        except BaseException as error:
            self._nodes.abandon()
            ending.fail(task, parts, here, began, error)
            raise

    def _ask(self, here: Sitting) -> None:
        task, parts, tally, started = self._task, self._parts, Tally(), time.monotonic()
        cohort.await_quorum(task, self._nodes, self._breathe)
        names = cohort.select(task, self._nodes, 1)
        parts.events.aeros_before_round(task=task, number=1, cohort=names)
        sent = [self._instruction(name) for name in names]
        for scores in gather(Scores, self._nodes, task, sent, self._breathe, tally):
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
            federated=figures.merged(tally.accepted.values()),
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
            seed=streams.seed(self._task.seed, "infer", node),
            deadline=self._task.deadline,
        )
