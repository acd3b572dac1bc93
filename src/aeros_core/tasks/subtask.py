"""A step of a task's workflow, and what it asks of the machine it runs on."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Kind", "Requirements", "Subtask"]


class Kind(StrEnum):
    """Kinds of sub-tasks that aeros has a name for; plugins register others."""

    train = "train"
    evaluate = "evaluate"
    infer = "infer"
    transform = "transform"
    export = "export"
    serve = "serve"


@dataclass(slots=True)
class Requirements:
    """What a sub-task asks of the infrastructure element it runs on.

    Args:
        cpu_cores: Cores, at least.
        memory_mb: Memory in MB, at least.
        gpu_memory_mb: GPU memory in MB, at least; 0: no GPU needed.
        architecture: x64, arm64, arm32 or risc-v; None: any.
        tier: Cloud, Edge, FarEdge or IoT; None: any.
        plugins: Distributions with version ranges, as in ``aeros-torch>=0.1``.
        data: Data sets the element must hold.
        labels: Labels the element must carry, with their values.
    """

    cpu_cores: float = 0.0
    memory_mb: int = 0
    gpu_memory_mb: int = 0
    architecture: str | None = None
    tier: str | None = None
    plugins: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)  # not frozen: OmegaConf could not override an entry of a dictionary
class Subtask:
    """One step of a task's workflow.

    Args:
        kind: What it does: one of `Kind`, or a kind that a plugin registers.
        roles: Choices of its own by role, ``{"trainer": "torch"}``; a role that is not
            named here is the one the configuration chose for the whole task.
        requires: What it asks of the element it runs on.
        inputs: Names of what it reads, as other sub-tasks' outputs name it.
        outputs: Names of what it makes.
        options: What else it is told, where a plugin carries it out.
    """

    kind: str = Kind.train.value
    roles: dict[str, str] = field(default_factory=dict)
    requires: Requirements = field(default_factory=Requirements)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
