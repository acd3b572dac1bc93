"""What a task asks of its nodes: to train a model, or to answer with one."""

from __future__ import annotations

import functools

from aeros_core import ending, pipeline, scoring, waiting
from aeros_core.answering import Answering
from aeros_core.intake import Nodes
from aeros_core.outcomes import Result
from aeros_core.pipeline import Prepared
from aeros_core.records import Model
from aeros_core.roles import Components, Trainer
from aeros_core.rounds import Rounds
from aeros_core.scoring import Scoring
from aeros_core.task import Task

__all__ = ["prepare", "run", "worker"]


def prepare(task: Task, parts: Components) -> tuple[Prepared, Model | None]:
    """Return the data that nodes work on, and the model that they answer with, if they do.

    Raises:
        ConfigError: The parts do not fit one another, or the model.
        DataError: The data cannot be used.
        RepositoryError: The model is damaged or cannot be read.
    """
    if task.infers:
        model = scoring.model_of(task, parts)
        return scoring.prepare(parts.transformers, task, model), model
    data = pipeline.prepare(parts.transformers, task.seed)
    pipeline.check_schema(parts.trainer, data.schema)
    return data, None


def worker(task: Task, parts: Components, model: Model | None) -> Trainer | Answering:
    """Return what carries out instructions on a node in this process."""
    if model is None:
        return parts.trainer
    return Answering(scoring.server(parts, model), model.schema, task.collect)


def run(task: Task, parts: Components, nodes: Nodes, data: Prepared, model: Model | None) -> Result:
    """Drive a task on its nodes to its end; see `rounds.Rounds` and `scoring.Scoring`.

    Args:
        task: What to run.
        parts: With what.
        nodes: On whom.
        data: What `prepare` returned.
        model: What `prepare` returned.

    Raises:
        ConfigError: The task asks for what these nodes cannot give; nothing was begun.
        TaskError: The task could not go on.
    """
    with waiting.hearing(functools.partial(ending.breathe, task, parts)):
        if model is not None:
            return Scoring(task, parts, nodes, model).run()
        return Rounds(task, parts, nodes, data).run()
