"""Register what the core itself offers, by the hooks that every plugin has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aeros_core.hooks.extensions import Command, Format
from aeros_core.hooks.hook_markers import hookimpl

__all__ = ["RESERVED", "SUFFIXES", "Local", "aeros_commands", "aeros_controllers", "aeros_formats"]


@dataclass
class Local:
    """All nodes of a task in this process, one after the other; no server, no port."""

    _target_: str = "aeros_core.controllers.local.LocalController"


@hookimpl
def aeros_controllers() -> dict[str, type]:
    """Offer ``controller=local``."""
    return {"local": Local}


@hookimpl
def aeros_commands() -> list[Command]:
    """Offer the commands that are there without any plugin."""
    return [
        Command(
            "run", "aeros_core.cli.main:add_run", help="run a task, or a sweep of them with -m"
        ),
        Command(
            "plugins",
            "aeros_core.cli.plugins:add_plugins",
            help="what is installed, and what is wrong with it",
        ),
        Command(
            "options",
            "aeros_core.cli.options.commands:add_options",
            help="what can be chosen, and the fields of each option",
        ),
        Command(
            "models", "aeros_core.cli.models.commands:add_models", help="what the repository holds"
        ),
        Command(
            "results",
            "aeros_core.cli.results:add_results",
            help="what runs did, and were made from",
        ),
        Command(
            "compare",
            "aeros_core.cli.compare:add_compare",
            help="the runs of a sweep, side by side",
        ),
    ]


@hookimpl
def aeros_formats() -> list[Format]:
    """Offer safetensors."""
    return [Format("safetensors", "aeros_core.models.safetensors", suffixes=(".safetensors",))]


RESERVED: Mapping[str, frozenset[str]] = {
    "command": frozenset(command.name for command in aeros_commands()),
    "format": frozenset(format_.name for format_ in aeros_formats()),
    "subtask": frozenset({"train", "evaluate", "infer", "transform", "export"}),
}
"""Names that no plugin can take, by group of record."""

SUFFIXES = frozenset(suffix for format_ in aeros_formats() for suffix in format_.suffixes)
"""Suffixes of files that no plugin can take."""
