"""Run one task to its end."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from aeros_core.results import Result
from aeros_core.roles.components import Components
from aeros_core.tasks.task import Task

__all__ = ["Controller"]


@runtime_checkable
class Controller(Protocol):
    """Runs one task to its end: prepares nodes, drives rounds, reports the life cycle."""

    def run(self, task: Task, parts: Components) -> Result:
        """Run ``task`` with these components; called once.

        Raises:
            ConfigError: Task and components do not fit; nothing was started.
            TaskError: The task could not go on; what was committed stays.
        """
