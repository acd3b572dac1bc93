"""One object from its configuration: what a plugin registered, with its options.

Only what was registered for a role is built: a ``_target_`` from a file or from the command
line that was not is refused, so configuration can never run code.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Collection, Mapping
from typing import Any, cast

from aeros_core import plugins
from aeros_core.errors import ConfigError, PluginError
from aeros_core.registry import Option, Registry, nearest
from aeros_core.roles import Module

__all__ = ["build_module", "build_part", "demand", "nested"]


def build_part(registry: Registry, group: str, node: Mapping[str, Any], name: str = "") -> Any:
    """Build one object from its configuration.

    Nested configurations are built too where a group ``<group>/<option>`` exists, as
    callables with their options bound.

    Raises:
        PluginError: Its ``_target_`` was not registered for this group.
        ConfigError: Its class does not take these options.
    """
    option = _registered(registry, group, node, name)
    options = {
        key: _bound(registry, _inner(registry, group, key), value) if nested(value) else value
        for key, value in node.items()
        if key != "_target_"
    }
    _check_names(option, options)
    return _call(plugins.implementation(option.target), options, option)


def build_module(registry: Registry, node: Mapping[str, Any]) -> Module | None:
    """Return the callable that builds a stored model's module; None if it names none."""
    return cast("Module", _bound(registry, "trainer/model", node)) if node else None


def nested(value: Any) -> bool:
    """Tell whether an option is itself something to be built."""
    return isinstance(value, Mapping) and "_target_" in value


def _inner(registry: Registry, group: str, key: str) -> str:
    """Return the group of a nested option: its own, or that of rules, or of models in models."""
    own = f"{group}/{key}"
    held = {"collector": "collector/rule", "trainer/model": "trainer/model"}
    return own if registry.names(own) else held.get(group, own)


def _bound(registry: Registry, group: str, node: Mapping[str, Any], where: str = "") -> Any:
    option = _registered(registry, group, node, where)
    options = {key: value for key, value in node.items() if key != "_target_"}
    for key, value in options.items():
        if nested(value):
            inner = _inner(registry, group, key)
            options[key] = _bound(registry, inner, value, f"{group}/{key}")
    return functools.partial(plugins.implementation(option.target), **options)


def _registered(registry: Registry, group: str, node: Mapping[str, Any], name: str) -> Option:
    target = str(node.get("_target_", "nothing")) if isinstance(node, Mapping) else str(node)
    option = registry.options.get((group, name))  # several options may share a target
    if option is None or option.target != target:
        option = registry.by_target(group, target)
    if option is None:
        raise PluginError(
            f"{name or group}: _target_={target} is not registered for {group}",
            exists=", ".join(registry.names(group)) or f"no {group} at all",
            hint=f"choose one by name, as in {group}=<option>; configuration never runs code",
        )
    return option


def _check_names(option: Option, options: Mapping[str, Any]) -> None:
    known = {field.name for field in dataclasses.fields(option.config)} - {"_target_", "defaults"}
    if unknown := sorted(options.keys() - known):
        raise ConfigError(
            f"option '{unknown[0]}' does not exist for {option.group}={option.name}",
            exists=", ".join(sorted(known)) or "none",
            provider=str(option.plugin),
            hint=_meant(option, unknown[0], known),
        )


def _meant(option: Option, name: str, known: Collection[str]) -> str:
    many = option.group in ("transformer", "callback")
    where = option.group.replace("/", ".") + (f".{option.name}" if many else "")
    if close := nearest(name, sorted(known)):
        return ", or ".join(f"{where}.{each}=<value>" for each in close)
    return f"{where}.<one of these>=<value>" if known else f"leave {where}.{name} out"


def _call(implementation: Any, options: Mapping[str, Any], option: Option) -> Any:
    try:
        inspect.signature(implementation).bind(**options)
    except TypeError as error:
        raise PluginError(
            f"{option.target} does not take the options of {option.group}={option.name}: {error}",
            provider=str(option.plugin),
            hint="its dataclass and its constructor must name the same options",
        ) from error
    return implementation(**options)


def demand(part: object, kind: Any, role: str, name: str) -> None:
    """Hold what was built against the Protocol of its role.

    Raises:
        PluginError: It is something else.
    """
    if not isinstance(part, kind):
        raise PluginError(
            f"{name} does not do what a {role} must",
            exists=f"the Protocols of aeros_core.roles: {kind}",
            hint="run the conformance kit of aeros_core.testing on it",
        )
