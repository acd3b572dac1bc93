"""The identity of a run: what in its configuration decides the result.

Two configurations are those of one run where they choose the same options with the same
values, whatever the code is called that implements them, and whichever version wrote them
down. Values at their default are left out, so an option that is added later changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from aeros_core.options.choices import (
    DISTRIBUTION,
    FILE_VERSION,
    OPTION,
    ROLE,
    VERSION,
    is_choice,
)
from aeros_core.options.metadata import defaults
from aeros_core.tasks.task import Task

__all__ = ["Defaults", "decisive", "differences", "digest", "flatten"]

Defaults: TypeAlias = Callable[[str, str], Mapping[str, Any]]
"""Returns the defaults of a role's option; nothing where it is not installed."""

FILE = "_file_"
"""Key of the name and SHA-256 of the file that a part came from (``--plugin FILE.py``)."""

_FREE = (
    "name", "rounds", "resume", "stop", "subtasks", "deadline", "below_quorum", "attempts",
    "samples",
)  # fmt: skip
"""Options of a task that may change between two processes of one run."""


def decisive(config: Mapping[str, Any], usual: Defaults) -> dict[str, Any]:
    """Return what in a configuration decides the result: data, algorithms, seeds.

    Args:
        config: The configuration, its parts named (`naming.name_parts`).
        usual: The defaults of options.
    """
    kept = {name: _part(config.get(name), usual) for name in ("trainer", "collector")}
    kept |= {"inferencer": _part(part, usual)} if (part := config.get("inferencer")) else {}
    steps = config.get("transformer") or {}
    kept |= {"transformer": f"[{','.join(steps)}]"}  # their order decides, too
    kept |= {f"transformer.{name}": _part(step, usual) for name, step in steps.items()}
    task = _differing(config.get("task") or {}, defaults(Task))
    return {**kept, "task": {k: v for k, v in task.items() if k not in _FREE}}


def digest(config: Mapping[str, Any]) -> str:
    """Return the SHA-256, hexadecimal, of what `decisive` returned."""
    text = json.dumps(config, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], usual: Callable[[Any], Mapping[str, Any]]
) -> list[str]:
    """Return what decided the result of another run and is not so now, as it would be typed.

    Args:
        old: The configuration of the other run.
        new: The configuration now.
        usual: `decisive`, with the defaults of options that it is given here.
    """
    before, after = flatten(usual(old)), flatten(usual(new))
    told = flatten(old)  # what is at its default there, too
    keys = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
    return [_typed(key, before.get(key, told.get(key, "absent"))) for key in keys]


def _typed(key: str, value: Any) -> str:
    """Return an option as it would be typed; for a file its name and digest."""
    part, _, name = key.rpartition(".")
    return f"{part} from {value}" if name == FILE else f"{key.removesuffix(f'.{OPTION}')}={value}"


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, its keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _part(node: Any, usual: Defaults) -> Any:
    """Return a part by its option, without options at their default, at any depth."""
    if isinstance(node, list):
        return [_part(each, usual) for each in node]
    if not isinstance(node, Mapping):
        return node
    if not is_choice(node) or OPTION not in node:
        return {key: _part(each, usual) for key, each in node.items()}
    told = {k: v for k, v in node.items() if k not in (ROLE, OPTION, DISTRIBUTION, VERSION)}
    differing = _differing(told, usual(str(node.get(ROLE)), str(node[OPTION])))
    kept = {OPTION: node[OPTION], **{k: _part(v, usual) for k, v in differing.items()}}
    if str(node.get(VERSION, "")).startswith(FILE_VERSION):  # its code has no other version
        kept[FILE] = f"{node.get(DISTRIBUTION)} {node[VERSION]}"
    return kept


def _differing(options: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Return options without those at their default, and likewise what is nested in them."""
    inner = {
        key: _differing(value, usual[key])
        if isinstance(value, Mapping) and isinstance(usual.get(key), Mapping)
        else value
        for key, value in options.items()
    }
    return {k: v for k, v in inner.items() if k not in usual or v not in (usual[k], {})}
