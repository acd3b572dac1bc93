"""Sub-tasks that come once a task's model is stored, each carried out by a plugin.

A distribution names who carries out a kind in the entry-point group ``aeros.subtasks``::

    [project.entry-points."aeros.subtasks"]
    serve = "aeros_serving.subtask:follow"

The function is called before the task starts, with the sub-task and the task's resolved
configuration, and refuses what cannot be; what it returns is called with the model's
``name``, ``version`` and ``digest`` when the task has ended well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, TypeAlias

from aeros_core.errors import AerosError, ConfigError, PluginError
from aeros_core.subtask import Kind, Subtask
from aeros_core.task import Task

__all__ = ["FollowUp", "due"]

GROUP = "aeros.subtasks"

KINDS = (Kind.serve,)
"""Kinds that a plugin carries out; the others are the controller's."""

FollowUp: TypeAlias = Callable[[Mapping[str, str | int]], None]


def due(task: Task, config: Mapping[str, Any], *, sweep: bool) -> list[FollowUp]:
    """Return what is to be done when the task has ended well, in the order of the workflow.

    Args:
        task: For its sub-tasks.
        config: The resolved configuration, plain data.
        sweep: Whether the task is one of many.

    Raises:
        PluginError: Nobody here carries out such a sub-task.
        ConfigError: It cannot be carried out as it is.
    """
    steps = {name: s for name, s in task.subtasks.items() if s.kind in KINDS}
    if steps and sweep:
        raise ConfigError(
            f"sub-task '{next(iter(steps))}' does not end, and a sweep goes on to its next job",
            hint="task=federated for the sweep, then task=served for the best of it",
        )
    return [_carrier(name, step)(step, config) for name, step in steps.items()]


def _carrier(name: str, step: Subtask) -> Callable[[Subtask, Mapping[str, Any]], FollowUp]:
    kind = step.kind.value
    for entry in entry_points(group=GROUP, name=kind):
        try:
            carrier: Callable[[Subtask, Mapping[str, Any]], FollowUp] = entry.load()
        except AerosError:
            raise
        except Exception as error:
            raise PluginError(
                f"sub-task '{name}' cannot be carried out: {type(error).__name__}: {error}",
                provider=entry.dist.name if entry.dist else entry.module,
            ) from error
        return carrier
    raise PluginError(
        f"sub-task '{name}': nobody here carries out kind {kind}",
        exists=", ".join(sorted(entry.name for entry in entry_points(group=GROUP))) or "nobody",
        hint="pip install aeros-serving" if step.kind is Kind.serve else "",
    )
