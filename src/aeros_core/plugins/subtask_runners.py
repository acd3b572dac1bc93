"""Sub-tasks that come once a task's model is stored, each carried out by a plugin.

Plugins register kinds of them with the hook ``aeros_subtasks``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from aeros_core.errors import AerosError, ConfigError
from aeros_core.hooks.extensions import SubtaskKind
from aeros_core.plugins import extension_lookup
from aeros_core.plugins.registry import Provided, Registry
from aeros_core.tasks.subtask import Kind, Subtask
from aeros_core.tasks.task import Task

__all__ = ["FollowUp", "due"]

OWN = frozenset(Kind) - {Kind.serve}
"""Kinds that the controller carries out; the others are those of plugins."""

FollowUp: TypeAlias = Callable[[Mapping[str, str | int]], None]


def due(
    task: Task, config: Mapping[str, Any], registry: Registry, *, sweep: bool
) -> list[FollowUp]:
    """Return what is to be done when the task has ended well, in the order of the workflow.

    Args:
        task: For its sub-tasks.
        config: The resolved configuration, plain data.
        registry: What plugins offer.
        sweep: Whether the task is one of many.

    Raises:
        PluginError: No plugin carries out such a sub-task, or it fails.
        ConfigError: It cannot be carried out as it is.
    """
    steps = {name: s for name, s in task.subtasks.items() if s.kind not in OWN}
    found = {name: _carrier(registry, name, step) for name, step in steps.items()}
    for name, provided in found.items():
        if sweep and not _ends(provided):
            raise ConfigError(
                f"sub-task '{name}' does not end, and a sweep goes on to its next job",
                hint="task=federated for the sweep, then task=served for the best of it",
            )
    return [_prepared(name, found[name], step, config) for name, step in steps.items()]


def _carrier(registry: Registry, name: str, step: Subtask) -> Provided:
    asked = f"sub-task '{name}': kind {step.kind}"
    distribution = "aeros-serving" if step.kind == Kind.serve else ""
    return extension_lookup.choose(registry, SubtaskKind.group, step.kind, asked, distribution)


def _ends(provided: Provided) -> bool:
    return isinstance(provided.record, SubtaskKind) and provided.record.ends


def _prepared(name: str, provided: Provided, step: Subtask, config: Mapping[str, Any]) -> FollowUp:
    asked = f"sub-task '{name}'"
    prepare: Callable[[Subtask, Mapping[str, Any]], FollowUp] = extension_lookup.load(
        provided, asked
    )
    try:
        follow = prepare(step, config)
    except AerosError:
        raise
    except Exception as error:
        raise extension_lookup.unusable(provided, asked, error) from error
    if not callable(follow):
        error = TypeError(f"{provided.record.target} returned no function to call in the end")
        raise extension_lookup.unusable(provided, asked, error)
    return follow
