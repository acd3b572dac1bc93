"""Configurations whose parts are named by role and option: what is stored, and sent to nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aeros_core.options.choices import (
    DISTRIBUTION,
    MANY,
    OPTION,
    ROLE,
    VERSION,
    is_choice,
    options_in,
)
from aeros_core.options.metadata import renamed
from aeros_core.plugins.registry import Registry
from aeros_core.tasks.task import Task

__all__ = ["inner_group", "name_part", "name_parts"]

_ROLES = ("controller", "collector", "repository", "trainer", "inferencer")


def name_parts(registry: Registry, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's configuration with each part named, and options by their current names.

    What nothing here is registered for stays as it is: a record whose plugin is gone keeps
    what it says.

    Args:
        registry: What is installed.
        config: The configuration as plain data, composed now or stored by any version.
    """
    made = dict(config)
    for role in _ROLES:
        if isinstance(node := config.get(role), Mapping):
            made[role] = name_part(registry, role, node)
    for group in MANY:
        if isinstance(nodes := config.get(group), Mapping):
            made[group] = {n: name_part(registry, group, node, n) for n, node in nodes.items()}
    if isinstance(task := config.get("task"), Mapping):
        made["task"] = renamed(Task, task)
    return made


def name_part(registry: Registry, group: str, node: Any, name: str = "") -> Any:
    """Return one part named, and every part that lies in its options.

    Args:
        registry: What is installed.
        group: Group of its option, as ``trainer/model``.
        node: Its configuration; anything else is returned as it is.
        name: Its own key, which tells options of one class apart.
    """
    if isinstance(node, list):
        return [name_part(registry, group, each) for each in node]
    if not isinstance(node, Mapping):
        return node
    if not is_choice(node):
        return {key: name_part(registry, group, each) for key, each in node.items()}
    option = registry.chosen(group, node, name)
    given = renamed(option.config, options_in(node)) if option else node
    made = {
        key: name_part(registry, inner_group(registry, group, key, each), each)
        for key, each in given.items()
    }
    if option is None:
        return made
    plugin = option.plugin
    said = {DISTRIBUTION: plugin.distribution, VERSION: plugin.version}
    if OPTION in node:  # a record says which version wrote it
        said |= {key: node[key] for key in said if key in node}
    return {ROLE: group, OPTION: option.name, **said, **made}


def inner_group(registry: Registry, group: str, key: str, value: Any) -> str:
    """Return the group of an option's value: its own, or that of rules, or of models in models.

    What is no part itself may hold parts of the same group, as the members of an inferencer do.
    """
    if not is_choice(value):
        return group
    own = f"{group}/{key}"
    held = {"collector": "collector/rule", "trainer/model": "trainer/model"}
    return own if registry.names(own) else held.get(group, own)
