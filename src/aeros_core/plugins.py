"""Discovery: which plugins are installed, what they offer, and what is wrong with them.

A plugin that fails is recorded, never raised: `aeros plugins` shows it, and an error
arises only when the configuration selects something it would have offered.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any, cast

import pluggy

from aeros_core import __version__, importing, installed, option_types
from aeros_core.errors import PluginError
from aeros_core.hookspecs import GROUPS, Callbacks, Registration
from aeros_core.registry import Health, Option, Plugin, Registry

if TYPE_CHECKING:  # looking around does without numpy
    from aeros_core.events import Events

__all__ = ["discover", "hearing", "implementation"]

ENTRY_POINTS = "aeros"
CORE, BUILTIN = "core", "aeros_core.builtin"

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
    options: list[Option] = []
    for entry in _entries():
        plugin, offered = _load(entry, chosen)
        if plugin.status is Health.FAILED and _origin(entry) in delivered:
            plugin = replace(plugin, fix=_NEWER.format(plugin.distribution))
        plugins.append(plugin)
        options += offered
    if chosen is None:
        plugins += [Plugin(n, n, "?", "?").failed(f"entry points: {why}") for n, why in _damaged()]
    return _registry(plugins, options)


def _damaged() -> list[tuple[str, str]]:
    """Return distributions whose entry points cannot be read, and why."""
    return installed.unreadable() if not installed.whole() else []


def _origin(entry: EntryPoint) -> str:
    return str(entry.dist.locate_file("")) if entry.dist else ""


def _entries() -> Iterable[EntryPoint]:
    found = {(e.name, e.value, installed.named(e.dist)): e for e in _all_entries()}
    return [found[key] for key in sorted(found)]


def _all_entries() -> Iterable[EntryPoint]:
    return installed.entry_points(group=ENTRY_POINTS)


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
    plugin = Plugin(entry.name, installed.named(entry.dist), _version(entry), _module(entry))
    if entry.name == CORE and entry.value != BUILTIN:
        return plugin.failed(f"its entry point is called '{CORE}', as that of aeros-core is"), []
    if chosen is not None and entry.name not in chosen:
        reason = "not named by AEROS_PLUGINS"
        fix = f"AEROS_PLUGINS={','.join(sorted(chosen - {'core'} | {entry.name}))}"
        return replace(plugin, status=Health.SKIPPED, reason=reason, fix=fix), []
    try:
        if unmet := _unmet_requirement(entry):
            return plugin.failed(f"asks for {unmet}, this is aeros-core {__version__}"), []
        module = importing.load(entry)
    except KeyboardInterrupt:
        raise
    except importing.Meddling as error:
        return plugin.failed(str(error)), []
    except BaseException as error:
        return plugin.failed(_told(error), _fix_import(error, entry)), []
    return _collect(plugin, module)


def _told(error: BaseException) -> str:
    """Return an error in one line; its own text may fail, too."""
    try:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
    except Exception:
        return type(error).__name__


def _version(entry: EntryPoint) -> str:
    try:
        return str(entry.dist.version or "?") if entry.dist else "?"
    except Exception:  # metadata without a version, or that cannot be decoded
        return "?"


def _module(entry: EntryPoint) -> str:
    return entry.value.partition(":")[0].strip()


def _unmet_requirement(entry: EntryPoint) -> str | None:
    for line in (entry.dist.requires if entry.dist else None) or []:
        if not re.match(r"aeros[-_.]+core(?![\w.-]*\w)", line.strip(), re.IGNORECASE):
            continue
        from packaging.requirements import InvalidRequirement, Requirement

        try:
            asked = Requirement(line)
            counts = asked.marker is None or asked.marker.evaluate({"extra": ""})
        except (InvalidRequirement, ValueError):
            return f"{line.strip()[:200]}, which is not understood"
        if counts and not asked.specifier.contains(__version__, prereleases=True):
            return str(asked)
    return None


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
            return plugin.failed(f"{caller.name}: {_told(error)}"), []
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
    option_types.check(name, config)
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
            hint="aeros plugins shows what is installed",
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
