"""Commands that plugins add to ``aeros``.

A distribution names them in the entry-point group ``aeros.commands``::

    [project.entry-points."aeros.commands"]
    algorithms = "aeros_algorithms.cli:add_algorithms"

The function is given the command's `argparse.ArgumentParser`, and sets the default
``command`` to what carries it out. It is imported when the command is typed, never before.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Container
from importlib.metadata import EntryPoint

from aeros_core.errors import ConfigError, PluginError
from aeros_core.installed import entry_points

__all__ = ["added", "fill"]

GROUP = "aeros.commands"


def added(own: Container[str]) -> dict[str, EntryPoint]:
    """Return the commands of installed plugins by name; none that the core has itself."""
    return {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in own}


def fill(entry: EntryPoint, parser: argparse.ArgumentParser) -> None:
    """Let a plugin say what its command takes.

    Raises:
        PluginError: The plugin cannot be imported, or fails.
    """
    try:
        add: Callable[[argparse.ArgumentParser], None] = entry.load()
        add(parser)
    except ConfigError:  # what somebody has set is at fault, not the package
        raise
    except Exception as error:
        name = entry.dist.name if entry.dist else entry.module
        raise PluginError(
            f"aeros {entry.name} cannot be used: {type(error).__name__}: {error}",
            provider=f"{name} {entry.dist.version if entry.dist else ''}".rstrip(),
            hint=f"pip install --upgrade {name}",
        ) from error
