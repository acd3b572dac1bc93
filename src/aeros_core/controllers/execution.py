"""What a task asks of its nodes: to train a model, or to answer with one."""

from __future__ import annotations

import functools

from aeros_core.federated import completion
from aeros_core.federated.rounds import Rounds
from aeros_core.inference import federated
from aeros_core.inference.federated import FederatedInference
from aeros_core.inference.worker import InferenceWorker
from aeros_core.preprocessing import pipeline
from aeros_core.preprocessing.pipeline import Prepared
from aeros_core.records import Model
from aeros_core.results import Result
from aeros_core.roles.components import Components
from aeros_core.roles.nodes import Nodes
from aeros_core.roles.trainer import Trainer
from aeros_core.tasks import waiting
from aeros_core.tasks.task import Task

__all__ = ["prepare", "run", "worker"]


def prepare(task: Task, parts: Components) -> tuple[Prepared, Model | None]:
    """Return the data that nodes work on, and the model that they answer with, if they do.

    Raises:
        ConfigError: The parts do not fit one another, or the model.
        DataError: The data cannot be used.
        RepositoryError: The model is damaged or cannot be read.
    """
    if task.infers:
        model = federated.model_of(task, parts)
        return federated.prepare(parts.transformers, task, model), model
    data = pipeline.prepare(parts.transformers, task.seed)
    pipeline.check_schema(parts.trainer, data.schema)
    return data, None


def worker(task: Task, parts: Components, model: Model | None) -> Trainer | InferenceWorker:
    """Return what carries out instructions on a node in this process."""
    if model is None:
        return parts.trainer
    return InferenceWorker(federated.server(parts, model), model.schema, task.collect)


def run(task: Task, parts: Components, nodes: Nodes, data: Prepared, model: Model | None) -> Result:
    """Drive a task on its nodes to its end; see `rounds.Rounds` and `federated.FederatedInference`.

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
    with waiting.hearing(functools.partial(completion.check_control, task, parts)):
        if model is not None:
            return FederatedInference(task, parts, nodes, model).run()
        return Rounds(task, parts, nodes, data).run()
