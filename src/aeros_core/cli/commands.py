"""Commands of ``aeros``: the core's own, and those that plugins register.

A plugin is imported for its commands only where one of them is typed, or all are listed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from aeros_core.errors import ConfigError
from aeros_core.hooks.extensions import Command
from aeros_core.plugins import builtin, extension_lookup
from aeros_core.plugins.discovery import discover
from aeros_core.plugins.registry import Health, Plugin, Provided, Registry
from aeros_core.version import __version__

__all__ = ["fill", "offered", "takes_plugin_files"]

CORE = Plugin("core", "aeros-core", __version__, builtin.__name__)


def offered(typed: Sequence[str]) -> list[Provided]:
    """Return the commands to choose from, the core's own first.

    Args:
        typed: The first word behind ``aeros``, if there is one; plugins are discovered where it
            is not a command of the core.

    Raises:
        PluginError: Several plugins offer the command that is typed, or the one that may
            offer it does not work.
    """
    own = [Provided(command, CORE) for command in builtin.aeros_commands()]
    if not typed or any(word in typed for word in ("--version", *builtin.RESERVED["command"])):
        return own
    registry = discover()
    names = extension_lookup.names(registry, Command.group)
    further = [registry.extensions[Command.group, name] for name in names]
    for name in typed:
        if not name.startswith("-") and name not in names:
            _refuse(registry, name)
    return own + [each for each in further if each.plugin.name != CORE.name]


def takes_plugin_files(typed: Sequence[str]) -> bool:
    """Return whether files of ``--plugin`` are loaded before this command starts.

    Args:
        typed: The first word behind ``aeros``, if there is one.
    """
    if not typed or typed[0] in builtin.RESERVED["command"]:
        return True
    found = discover().extensions.get((Command.group, typed[0]))
    record = found.record if found else None
    return not isinstance(record, Command) or record.plugin_files


def _refuse(registry: Registry, name: str) -> None:
    """Raise where a command is not there because of plugins, which argparse does not know."""
    asked = f"aeros {name}"
    if several := registry.clashes.get((Command.group, name)):
        raise extension_lookup.clash(asked, several, typed=asked)
    if any(plugin.status is Health.FAILED for plugin in registry.plugins):
        said = f"{asked} does not exist"
        raise extension_lookup.missing(registry, Command.group, name, said, "")


def fill(command: Provided, parser: argparse.ArgumentParser) -> None:
    """Have a command add its arguments.

    Raises:
        PluginError: The plugin cannot be imported, or fails.
    """
    asked = f"aeros {command.record.name}"
    add: Callable[[argparse.ArgumentParser], None] = extension_lookup.load(command, asked)
    try:
        add(parser)
    except ConfigError:  # what a person has set is at fault, not the package
        raise
    except Exception as error:
        raise extension_lookup.unusable(command, asked, error) from error
