"""Discovery: which plugins are installed, what they offer, and what is wrong with them.

A plugin that fails is recorded, never raised: `aeros plugins` shows it, and an error
arises only when the configuration selects something it would have offered.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import pluggy

from aeros_core.errors import PluginError
from aeros_core.hookspecs import Callbacks
from aeros_core.plugins import entry_points, import_check
from aeros_core.plugins.core_requirement import unmet_requirement
from aeros_core.plugins.registration import Offers, collect, mismatch, said
from aeros_core.plugins.registry import Health, Option, Plugin, Provided, Registry
from aeros_core.plugins.replaced_groups import REPLACED, checked
from aeros_core.plugins.single_files import plugin_files
from aeros_core.version import __version__

if TYPE_CHECKING:  # looking around does without numpy
    from aeros_core.roles.events import Events

__all__ = ["discover", "event_relay", "implementation"]

Key: TypeAlias = tuple[str, str]
"""Group and name."""

ENTRY_POINTS = "aeros"
CORE, BUILTIN = "core", "aeros_core.plugins.builtin"

_NEWER = "lock another version of it: aeros algorithms list {0}, aeros algorithms lock {0}:VERSION"


def discover(delivered: Collection[str] = ()) -> Registry:
    """Find, check and load every plugin that is installed.

    The environment variable ``AEROS_PLUGINS=a,b`` restricts loading to these entry
    points (and what the core itself offers).

    Args:
        delivered: Folders of algorithms that a task brought: no package index has them.
    """
    wanted = os.environ.get("AEROS_PLUGINS")
    chosen = None if wanted is None else {name.strip() for name in wanted.split(",")} | {"core"}
    plugins: list[Plugin] = []
    offers: list[Offers] = []
    entries, damaged = entry_points.entry_points({ENTRY_POINTS, *REPLACED})
    for entry in _sorted(e for e in entries if e.group == ENTRY_POINTS):
        plugin, offered = _load(entry, chosen)
        if plugin.status is Health.FAILED and _origin(entry) in delivered:
            plugin = replace(plugin, fix=_NEWER.format(plugin.distribution))
        plugins.append(plugin)
        offers.append(offered)
    plugins = checked(plugins, [e for e in entries if e.group in REPLACED])
    if chosen is None:
        plugins += [Plugin(n, n, "?", "?").failed(f"entry points: {why}") for n, why in damaged]
    for plugin, offered in plugin_files.loaded():
        plugins.append(plugin)
        offers.append(offered)
    registry = _registry(plugins, offers)
    plugin_files.check_names(plugins, registry.clashes)
    return registry


def _origin(entry: EntryPoint) -> str:
    return str(entry.dist.locate_file("")) if entry.dist else ""


def _sorted(entries: Iterable[EntryPoint]) -> Iterable[EntryPoint]:
    """Return each entry point once, by name."""
    found = {(e.name, e.value, entry_points.named(e.dist)): e for e in entries}
    return [found[key] for key in sorted(found)]


def _registry(plugins: list[Plugin], offers: list[Offers]) -> Registry:
    """Return what plugins that work offer, each name that several have among the clashes."""
    well = {plugin for plugin in plugins if plugin.status is Health.OK}
    options: dict[Key, list[Option]] = {}
    extensions: dict[Key, list[Provided]] = {}
    for offered in offers:
        for option in (each for each in offered.options if each.plugin in well):
            options.setdefault((option.group, option.name), []).append(option)
        for each in (each for each in offered.extensions if each.plugin in well):
            extensions.setdefault((each.record.group, each.record.name), []).append(each)
    several = {key: each for key, each in (options | extensions).items() if len(each) > 1}
    return Registry(
        tuple(plugins),
        {key: each[0] for key, each in options.items() if len(each) == 1},
        {key: tuple(offer.plugin for offer in each) for key, each in several.items()},
        {key: each[0] for key, each in extensions.items() if len(each) == 1},
    )


def _load(entry: EntryPoint, chosen: set[str] | None) -> tuple[Plugin, Offers]:
    plugin = Plugin(
        entry.name, entry_points.named(entry.dist), entry_points.version(entry.dist), _module(entry)
    )
    if entry.name == CORE and entry.value != BUILTIN:
        return plugin.failed(
            f"its entry point is called '{CORE}', as that of aeros-core is"
        ), Offers()
    if chosen is not None and entry.name not in chosen:
        reason = "not named by AEROS_PLUGINS"
        fix = f"AEROS_PLUGINS={','.join(sorted(chosen - {'core'} | {entry.name}))}"
        return replace(plugin, status=Health.SKIPPED, reason=reason, fix=fix), Offers()
    try:
        if unmet := unmet_requirement(entry.dist):
            return plugin.failed(f"asks for {unmet}, this is aeros-core {__version__}"), Offers()
        module = import_check.load(entry)
    except KeyboardInterrupt:
        raise
    except import_check.ProcessChange as error:
        return plugin.failed(str(error)), Offers()
    except BaseException as error:
        return plugin.failed(said(error), _fix_import(error, entry)), Offers()
    return collect(plugin, module)


def _module(entry: EntryPoint) -> str:
    return entry.value.partition(":")[0].strip()


def _fix_import(error: BaseException, entry: EntryPoint) -> str:
    """Return what installs a module that is missing; a module's name alone says nothing."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    wanted = error.name.partition(".")[0].lower().replace("_", "-")
    for line in (entry.dist.requires if entry.dist else None) or []:
        name = re.split(r"[^\w.-]", line.strip(), maxsplit=1)[0]
        if name.lower().replace("_", "-") == wanted:
            return f"pip install {name}"
    return ""


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
            hint="aeros plugins shows what is installed",
        ) from error


def event_relay(listeners: Sequence[object]) -> Events:
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
