"""Configuration files that plugins ship: the package ``conf`` beside their module."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

from aeros_core.plugins.registry import Plugin

__all__ = ["OURS", "package_of", "shipped"]

OURS = "aeros_core.conf"


def package_of(plugin: Plugin) -> str:
    """Return the package of configuration files that a plugin ships; empty without one."""
    if plugin.name == "core":
        return OURS
    package = f"{plugin.module}.conf"
    module = importlib.import_module(plugin.module)
    return package if hasattr(module, "__path__") and importlib.util.find_spec(package) else ""


def shipped(plugin: Plugin) -> set[str]:
    """Return the configuration files of a plugin, as ``experiment/digits``."""
    package = package_of(plugin)
    return set(_yaml_below(files(package), "")) if package else set()


def _yaml_below(folder: Traversable, prefix: str) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _yaml_below(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            yield prefix + entry.name.removesuffix(".yaml")
