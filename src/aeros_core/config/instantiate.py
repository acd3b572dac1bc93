"""One object from its configuration: what a plugin registered, with its options.

Only what was registered for a role is built: an option or a ``_target_`` from a file or from
the command line that was not is refused, so configuration can never run code.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Collection, Mapping
from typing import Any, cast

from aeros_core.config.naming import inner_group
from aeros_core.errors import ConfigError, PluginError
from aeros_core.files.data_files import ANYWHERE, DataFile, FileAccess
from aeros_core.options.choices import (
    DISTRIBUTION,
    FILE_VERSION,
    MANY,
    MARKS,
    OPTION,
    ROLE,
    VERSION,
    is_choice,
    options_in,
    shown,
)
from aeros_core.options.metadata import MISSING, dataset_of, defaults, is_list, renamed
from aeros_core.plugins import discovery
from aeros_core.plugins.registry import Option, Registry, nearest
from aeros_core.records import Module

__all__ = ["build_module", "build_part", "check_protocol"]


def build_part(
    registry: Registry,
    group: str,
    node: Mapping[str, Any],
    name: str = "",
    files: FileAccess = ANYWHERE,
) -> Any:
    """Build one object from its configuration.

    Nested configurations are built too where a group ``<group>/<option>`` exists, as
    callables with their options bound.

    Args:
        registry: What is installed.
        group: What it is to be, as ``transformer``.
        node: Which part it is (`aeros_core.options.choices`), and its options.
        name: The option's name, where it is known.
        files: Which files its options may name, and those of what is nested in it.

    Raises:
        PluginError: It was not registered for this group.
        ConfigError: Its class does not take these options.
        AccessError: An option names a file that ``files`` does not give.
    """
    option = _registered(registry, group, node, name)
    options = {
        key: _bound(registry, inner_group(registry, group, key, value), value, files=files)
        if is_choice(value)
        else value
        for key, value in _options(option, node).items()
    }
    _check_names(option, options)
    options = _granted(option, options, files)
    return _call(discovery.implementation(option.target), options, option)


def build_module(
    registry: Registry, node: Mapping[str, Any], files: FileAccess = ANYWHERE
) -> Module | None:
    """Return the callable that builds a stored model's module; None if it names none."""
    if not node:
        return None
    return cast("Module", _bound(registry, "trainer/model", node, files=files))


def _bound(
    registry: Registry,
    group: str,
    node: Mapping[str, Any],
    where: str = "",
    *,
    files: FileAccess,
) -> Any:
    option = _registered(registry, group, node, where)
    options = _options(option, node)
    _check_names(option, options)
    for key, value in options.items():
        if is_choice(value):
            inner = inner_group(registry, group, key, value)
            options[key] = _bound(registry, inner, value, f"{group}/{key}", files=files)
    options = _granted(option, options, files)
    return functools.partial(discovery.implementation(option.target), **options)


def _granted(option: Option, options: Mapping[str, Any], files: FileAccess) -> dict[str, Any]:
    """Return options, those that name files or folders as what may be read of them."""
    made = dict(options)
    for key, kind in option.kinds.items():
        if kind.is_path and key in made:
            made[key] = _path(option, key, made[key], files)
    return made


def _path(option: Option, key: str, value: Any, files: FileAccess) -> Any:
    where = _where(option, key)
    if isinstance(value, list | tuple) and is_list(option.config, key):
        return [_path(option, key, each, files) for each in value]
    unset = value is None or value == ""
    if unset and not files.anywhere and (usual := dataset_of(option.config, key)):
        return files.usual(usual, where)
    if unset or isinstance(value, DataFile):
        return value
    if not isinstance(value, str):
        raise ConfigError(
            f"{where} must be the path of a {option.kinds[key]}, got a {type(value).__name__}",
            provider=str(option.plugin),
            hint=f"{where}=<path>",
        )
    return value if files.anywhere else files.grant(value, where)


def _registered(registry: Registry, group: str, node: Mapping[str, Any], name: str) -> Option:
    option = registry.chosen(group, node, name) if isinstance(node, Mapping) else None
    if option is not None:
        return option
    named = shown(node) if isinstance(node, Mapping) else str(node)
    if isinstance(node, Mapping) and OPTION in node and node.get(ROLE, group) == group:
        raise _gone(registry, group, node)
    raise PluginError(
        f"{name or group}: {named} is not registered for {group}",
        exists=", ".join(registry.names(group)) or f"no {group} at all",
        hint=f"choose one by name, as in {group}=<option>; configuration never runs code",
    )


def _gone(registry: Registry, group: str, node: Mapping[str, Any]) -> PluginError:
    """Return the error for an option that a record names and nothing here offers.

    The name of a distribution comes from whoever wrote the record, so it is never advised to
    install it.
    """
    error = registry.missing(group, str(node[OPTION]))
    had = " ".join(str(node[key]) for key in (DISTRIBUTION, VERSION) if key in node)
    if not had:
        return error
    file = str(node.get(VERSION, "")).startswith(FILE_VERSION)
    return PluginError(
        error.asked,
        exists=error.exists,
        provider=f"{had} had it when this was stored",
        hint="--plugin FILE.py, with a file that has this SHA-256" if file else error.hint,
    )


def _options(option: Option, node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a part by their current names.

    A record of an earlier version lacks options that were added since; they are at their default.
    """
    usual = {
        key: value
        for key, value in defaults(option.config).items()
        if key not in {*MARKS, "defaults"} and value != MISSING
    }
    return usual | renamed(option.config, options_in(node))


def _check_names(option: Option, options: Mapping[str, Any]) -> None:
    known = {f.name for f in dataclasses.fields(option.config)} - {*MARKS, "defaults"}
    if unknown := sorted(options.keys() - known):
        raise ConfigError(
            f"option '{unknown[0]}' does not exist for {option.group}={option.name}",
            exists=", ".join(sorted(known)) or "none",
            provider=str(option.plugin),
            hint=_meant(option, unknown[0], known),
        )


def _meant(option: Option, name: str, known: Collection[str]) -> str:
    if close := nearest(name, sorted(known)):
        return ", or ".join(f"{_where(option, each)}=<value>" for each in close)
    one = f"{_where(option, '<one of these>')}=<value>"
    return one if known else f"leave {_where(option, name)} out"


def _where(option: Option, key: str) -> str:
    """Return an option as it is typed."""
    many = option.group in MANY
    return ".".join([option.group.replace("/", "."), *[option.name] * many, key])


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


def check_protocol(part: object, kind: Any, role: str, name: str) -> None:
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
