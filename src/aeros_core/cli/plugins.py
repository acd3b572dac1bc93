"""The command ``aeros plugins``: what is installed, and what is wrong with it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict

from aeros_core.plugins import config_files, discovery
from aeros_core.plugins.registry import Health, Plugin, Registry
from aeros_core.reporting.tables import table

__all__ = ["add_plugins"]

LABELS = {
    "command": "commands",
    "config": "configuration files",
    "format": "formats",
    "subtask": "sub-task kinds",
    "delivery": "delivery",
    "onnx_exporter": "ONNX exporters",
    "hydra/launcher": "launchers",
    "hydra/sweeper": "sweepers",
}
"""How groups are called that are not groups of the configuration."""


def add_plugins(parser: argparse.ArgumentParser) -> None:
    """Give the command ``aeros plugins`` its arguments."""
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(command=_plugins)


def _plugins(parsed: argparse.Namespace) -> int:
    registry = discovery.discover()
    if parsed.json:
        found = [asdict(plugin) | {"provides": _provides(plugin)} for plugin in registry.plugins]
        print(json.dumps(found, indent=2))
        return 0
    rows = [row for plugin in registry.plugins for row in _rows(plugin)]
    print(table(rows, ["name", "distribution", "version", "status", "provides"]))
    for note in _notes(registry):
        print(f"\n{note}")
    return 0


def _provides(plugin: Plugin) -> list[str]:
    """Return everything that a plugin provides as ``group=name``, configuration files, too."""
    files: set[str] = set()
    with suppress(Exception):  # a package of files may fail as any import
        files = config_files.shipped(plugin) if plugin.status is Health.OK else set()
    split = (path.rpartition("/") for path in files)
    return sorted({*plugin.provides, *(f"{group or 'config'}={name}" for group, _, name in split)})


def _rows(plugin: Plugin) -> list[dict[str, object]]:
    """Return a plugin's rows of the table, one for each group of what it provides."""
    groups: dict[str, list[str]] = {}
    for each in _provides(plugin):
        group, _, name = each.partition("=")
        label = f"{LABELS[group]}: " if group in LABELS else f"{group}="
        groups.setdefault(label, []).append(name)
    lines = [f"{label}{', '.join(names)}" for label, names in groups.items()] or [""]
    rows: list[dict[str, object]] = [{"provides": line} for line in lines]
    return [asdict(plugin) | {"version": plugin.short_version} | rows[0], *rows[1:]]


def _notes(registry: Registry) -> Iterator[str]:
    """Yield what is wrong, and what to type next."""
    for plugin in registry.plugins:
        if plugin.reason:
            yield f"{plugin.name} is {plugin.status}: {plugin.reason}\n  next: {plugin.fix}"
    for (group, name), several in registry.clashes.items():
        yield (
            f"{group}={name} is offered by {' and '.join(map(str, several))}, so none is taken\n"
            f"  next: pip uninstall {several[-1].distribution}"
        )
