"""Tasks that are more than a training: options of the group ``task``."""

from __future__ import annotations

from dataclasses import dataclass, field

from aeros_core.tasks.subtask import Kind, Subtask
from aeros_core.tasks.task import Task

__all__ = ["TASKS", "Inference", "Served"]


def _one_inference() -> dict[str, Subtask]:
    return {"infer": Subtask(kind=Kind.infer.value, outputs=["predictions"])}


def _training_then_serving() -> dict[str, Subtask]:
    return {
        "train": Subtask(outputs=["model"]),
        "serve": Subtask(kind=Kind.serve.value, inputs=["model"]),
    }


@dataclass(frozen=True, slots=True)
class Served(Task):
    """A task whose model is served when it is trained; see `Task`."""

    subtasks: dict[str, Subtask] = field(default_factory=_training_then_serving)


@dataclass(frozen=True, slots=True)
class Inference(Task):
    """A task whose nodes answer with a stored model, each over its own data; see `Task`."""

    name: str = "inference"
    subtasks: dict[str, Subtask] = field(default_factory=_one_inference)


TASKS = {"federated": Task, "served": Served, "inference": Inference}
"""What ``task=`` can be, by name."""
