"""The hooks of aeros: what a plugin registers, and the events that callbacks receive.

A plugin is a module named by an entry point of the group ``aeros``. It registers what it
offers with the hooks of `Registration`. Options of a configuration group are returned as
``{option name: config dataclass}`` (`aeros_core.hooks.option_hooks`; begin reading there),
commands, file formats and the like as records (`aeros_core.hooks.extension_hooks`). Events
(`Callbacks`) are hooks on the objects that the group ``callback`` chooses. Each docstring holds an
example.
"""

from __future__ import annotations

from collections.abc import Mapping

from aeros_core.hooks.event_hooks import Callbacks
from aeros_core.hooks.extension_hooks import RECORDS, ExtensionHooks
from aeros_core.hooks.hook_markers import hookimpl, hookspec
from aeros_core.hooks.option_hooks import OPTIONS, OptionHooks

__all__ = [
    "GROUPS",
    "OPTIONS",
    "RECORDS",
    "Callbacks",
    "Registration",
    "hookimpl",
    "hookspec",
]

GROUPS: Mapping[str, str] = OPTIONS | {hook: record.group for hook, record in RECORDS.items()}
"""The group that each registration hook fills, as `aeros plugins --json` calls it."""


class Registration:
    """Called once for every plugin, at discovery: what exists."""

    aeros_controllers = OptionHooks.aeros_controllers
    aeros_collectors = OptionHooks.aeros_collectors
    aeros_codecs = OptionHooks.aeros_codecs
    aeros_rules = OptionHooks.aeros_rules
    aeros_repositories = OptionHooks.aeros_repositories
    aeros_trainers = OptionHooks.aeros_trainers
    aeros_inferencers = OptionHooks.aeros_inferencers
    aeros_transformers = OptionHooks.aeros_transformers
    aeros_models = OptionHooks.aeros_models
    aeros_callbacks = OptionHooks.aeros_callbacks
    aeros_launchers = OptionHooks.aeros_launchers
    aeros_sweepers = OptionHooks.aeros_sweepers

    aeros_commands = ExtensionHooks.aeros_commands
    aeros_formats = ExtensionHooks.aeros_formats
    aeros_subtasks = ExtensionHooks.aeros_subtasks
    aeros_deliveries = ExtensionHooks.aeros_deliveries
    aeros_onnx_exporters = ExtensionHooks.aeros_onnx_exporters
