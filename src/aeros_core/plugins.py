"""Discovery: which plugins are installed, what they offer, and what is wrong with them.

A plugin that fails is recorded, never raised: `aeros plugins` shows it, and an error
arises only when the configuration selects something it would have offered.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, cast

import pluggy

from aeros_core import __version__
from aeros_core.errors import PluginError
from aeros_core.hookspecs import GROUPS, Callbacks, Registration
from aeros_core.registry import Health, Option, Plugin, Registry

if TYPE_CHECKING:  # looking around does without numpy
    from aeros_core.events import Events

__all__ = ["discover", "hearing", "implementation"]

ENTRY_POINTS = "aeros"


def discover() -> Registry:
    """Find, check and load every plugin that is installed.

    The environment variable ``AEROS_PLUGINS=a,b`` restricts loading to these entry
    points (and what the core itself offers).
    """
    wanted = os.environ.get("AEROS_PLUGINS")
    chosen = None if wanted is None else {name.strip() for name in wanted.split(",")} | {"core"}
    plugins: list[Plugin] = []
    options: list[Option] = []
    for entry in _entries():
        plugin, offered = _load(entry, chosen)
        plugins.append(plugin)
        options += offered
    return _registry(plugins, options)


def _entries() -> Iterable[EntryPoint]:
    found = {(e.name, e.value, e.dist.name if e.dist else ""): e for e in _all_entries()}
    return [found[key] for key in sorted(found)]


def _all_entries() -> Iterable[EntryPoint]:
    return entry_points(group=ENTRY_POINTS)


def _registry(plugins: list[Plugin], options: list[Option]) -> Registry:
    offers: dict[tuple[str, str], list[Option]] = {}
    for option in options:
        offers.setdefault((option.group, option.name), []).append(option)
    return Registry(
        tuple(plugins),
        {key: several[0] for key, several in offers.items() if len(several) == 1},
        {
            key: tuple(option.plugin for option in several)
            for key, several in offers.items()
            if len(several) > 1
        },
    )


def _load(entry: EntryPoint, chosen: set[str] | None) -> tuple[Plugin, list[Option]]:
    distribution, version = (entry.dist.name, entry.dist.version) if entry.dist else ("?", "?")
    plugin = Plugin(entry.name, distribution, version, entry.module)
    if chosen is not None and entry.name not in chosen:
        reason = "not named by AEROS_PLUGINS"
        fix = f"AEROS_PLUGINS={','.join(sorted(chosen - {'core'} | {entry.name}))}"
        return replace(plugin, status=Health.SKIPPED, reason=reason, fix=fix), []
    if unmet := _unmet_requirement(entry):
        return plugin.failed(f"asks for {unmet}, this is aeros-core {__version__}"), []
    try:
        module = entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return plugin.failed(f"{type(error).__name__}: {error}", _fix_import(error)), []
    return _collect(plugin, module)


def _unmet_requirement(entry: EntryPoint) -> str | None:
    lines = [r for r in (entry.dist.requires if entry.dist else None) or [] if "aeros" in r]
    if not lines:
        return None
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    for requirement in map(Requirement, lines):
        ours = canonicalize_name(requirement.name) == "aeros-core"
        if ours and not requirement.specifier.contains(__version__, prereleases=True):
            return str(requirement)
    return None


def _fix_import(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"pip install {error.name.partition('.')[0]}"
    return ""


def _collect(plugin: Plugin, module: object) -> tuple[Plugin, list[Option]]:
    manager = pluggy.PluginManager("aeros")
    manager.add_hookspecs(Registration)
    try:
        manager.register(module)
    except pluggy.PluginValidationError as error:
        return plugin.failed(mismatch(error)), []
    callers = manager.get_hookcallers(module) or []
    if unknown := sorted(caller.name for caller in callers if not caller.has_spec()):
        known = ", ".join(sorted(GROUPS))
        return plugin.failed(f"implements unknown hook {', '.join(unknown)}; known: {known}"), []
    options: list[Option] = []
    for caller in callers:
        try:
            offered: Any = caller.get_hookimpls()[0].function()
            options += [
                _option(plugin, GROUPS[caller.name], name, config)
                for name, config in dict(offered).items()
            ]
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return plugin.failed(f"{caller.name}: {type(error).__name__}: {error}"), []
    provides = tuple(sorted(f"{option.group}={option.name}" for option in options))
    whole = replace(plugin, provides=provides)
    return whole, [replace(option, plugin=whole) for option in options]


def mismatch(error: pluggy.PluginValidationError) -> str:
    """Return in one line how an implementation fails to be what its hook asks."""
    lines = str(error).strip().splitlines()
    if len(lines) == 1:
        return lines[0].partition(" in plugin ")[0]
    return f"{lines[1].removeprefix('hookimpl definition: ')}: {lines[-1]}"


def _option(plugin: Plugin, group: str, name: str, config: type[Any]) -> Option:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"option name {name!r} is not lower case letters, digits and _")
    if not (isinstance(config, type) and dataclasses.is_dataclass(config)):
        raise TypeError(f"{name}: {config!r} is not a dataclass")
    if not isinstance(getattr(config, "_target_", None), str):
        raise TypeError(f"{name}: {config.__name__} has no default for _target_")
    return Option(group, name, config, plugin)


def implementation(target: str) -> Any:
    """Import what a registered ``_target_`` names.

    Raises:
        PluginError: It cannot be imported.
    """
    import importlib

    path, _, name = target.rpartition(".")
    try:
        return getattr(importlib.import_module(path), name)
    except Exception as error:
        raise PluginError(
            f"{target} cannot be imported: {type(error).__name__}: {error}",
            hint=_fix_import(error) or "aeros plugins shows what is installed",
        ) from error


def hearing(listeners: Sequence[object]) -> Events:
    """Return what tells these objects of events, in this order.

    Raises:
        PluginError: One of them has a method that is no event, or takes other arguments.
    """
    manager = pluggy.PluginManager("aeros")
    manager.add_hookspecs(Callbacks)
    try:
        for listener in reversed(listeners):  # pluggy calls the last registered first
            manager.register(listener)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(
            f"{type(error.plugin).__name__} cannot hear events: {mismatch(error)}",
            exists=", ".join(name for name in vars(Callbacks) if name.startswith("aeros_")),
            hint="its methods must be named and take arguments as in docs/plugins.md",
        ) from error
    return cast("Events", manager.hook)
