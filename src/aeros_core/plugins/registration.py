"""Call a plugin's registration hooks, and check what they return."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pluggy

from aeros_core.hooks.extensions import Extension, Format
from aeros_core.hookspecs import GROUPS, OPTIONS, RECORDS, Registration
from aeros_core.options import option_types
from aeros_core.plugins import builtin
from aeros_core.plugins.registry import Option, Plugin, Provided

__all__ = ["Offers", "collect", "mismatch", "said"]

_TAKEN = {"hydra/launcher": {"basic"}, "hydra/sweeper": {"basic"}}
"""Options of Hydra's own."""


@dataclass(frozen=True, slots=True)
class Offers:
    """Everything that one plugin registers."""

    options: Sequence[Option] = ()
    extensions: Sequence[Provided] = ()


def collect(plugin: Plugin, module: object) -> tuple[Plugin, Offers]:
    """Return a plugin with what it registers; with nothing and as failed where that is wrong."""
    try:
        hooks, unknown = _hooks(module)
    except pluggy.PluginValidationError as error:
        return plugin.failed(mismatch(error)), Offers()
    if unknown:
        why = f"implements unknown hook {', '.join(unknown)}; known: {', '.join(sorted(GROUPS))}"
        return plugin.failed(why), Offers()
    options: list[Option] = []
    records: list[Extension] = []
    for name, function in hooks.items():
        try:
            if name in OPTIONS:
                options += _options(plugin, OPTIONS[name], function())
            else:
                records += _records(plugin, RECORDS[name], function())
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return plugin.failed(f"{name}: {said(error)}"), Offers()
    return _whole(plugin, options, records)


def _hooks(module: object) -> tuple[dict[str, Callable[[], Any]], list[str]]:
    """Return the registration hooks that a module implements, and names that are no hooks.

    Raises:
        pluggy.PluginValidationError: One of them takes other arguments than its hook.
    """
    manager = _manager()
    try:
        manager.register(module)
    except pluggy.PluginValidationError:
        _manager.cache_clear()  # it may hold some of the module's hooks
        raise
    callers = manager.get_hookcallers(module) or []
    unknown = sorted(caller.name for caller in callers if not caller.has_spec())
    hooks = {each.name: each.get_hookimpls()[0].function for each in callers}
    manager.unregister(module)
    return hooks, unknown


@cache
def _manager() -> pluggy.PluginManager:
    """Return a manager that knows the registration hooks, and of each plugin one at a time."""
    manager = pluggy.PluginManager("aeros")
    manager.add_hookspecs(Registration)
    return manager


def _whole(
    plugin: Plugin, options: Sequence[Option], records: Sequence[Extension]
) -> tuple[Plugin, Offers]:
    names = [f"{option.group}={option.name}" for option in options]
    names += [f"{record.group}={record.name}" for record in records]
    whole = replace(plugin, provides=tuple(sorted(names)))
    return whole, Offers(
        [replace(option, plugin=whole) for option in options],
        [Provided(record, whole) for record in records],
    )


def said(error: BaseException) -> str:
    """Return an error in one line; its own text may fail, too."""
    try:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
    except Exception:
        return type(error).__name__


def mismatch(error: pluggy.PluginValidationError) -> str:
    """Return in one line how an implementation fails to be what its hook asks."""
    lines = str(error).strip().splitlines()
    if len(lines) == 1:
        return lines[0].partition(" in plugin ")[0]
    return f"{lines[1].removeprefix('hookimpl definition: ')}: {lines[-1]}"


def _options(plugin: Plugin, group: str, returned: Any) -> list[Option]:
    return [_option(plugin, group, name, config) for name, config in dict(returned).items()]


def _option(plugin: Plugin, group: str, name: str, config: type[Any]) -> Option:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"option name {name!r} is not lower case letters, digits and _")
    if not (isinstance(config, type) and dataclasses.is_dataclass(config)):
        raise TypeError(f"{name}: {config!r} is not a dataclass")
    if not isinstance(getattr(config, "_target_", None), str):
        raise TypeError(f"{name}: {config.__name__} has no default for _target_")
    if name in _TAKEN.get(group, ()):
        raise ValueError(f"{group}={name} is Hydra's own; choose another name")
    option_types.check(name, config)
    return Option(group, name, config, plugin)


def _records(plugin: Plugin, kind: type[Extension], returned: Any) -> list[Extension]:
    if isinstance(returned, str | bytes | Mapping) or not isinstance(returned, Iterable):
        raise TypeError(f"returns {_shown(returned)}, not a list of {kind.__name__}")
    records = []
    for number, record in enumerate(returned):
        if number == _MOST:
            raise ValueError(f"returns more than {_MOST} records")
        if type(record) is not kind:
            raise TypeError(f"element {number} is {_shown(record)}, not a {kind.__name__}")
        records.append(record)
    _check_names(plugin, kind, records)
    return records


_MOST = 1000
"""Records of one hook, at most: a generator may have no end."""


def _shown(value: object) -> str:
    """Return a value's type, and the value itself where it is short; its repr may fail, too."""
    try:
        text = repr(value)
    except Exception:
        text = ""
    name = f"{type(value).__name__}"
    return f"{name} {text}" if text and len(text) <= 60 and value is not None else name


def _check_names(plugin: Plugin, kind: type[Extension], records: Sequence[Extension]) -> None:
    twice = [name for name, times in Counter(r.name for r in records).items() if times > 1]
    if twice:
        raise ValueError(f"{kind.group} {twice[0]} is offered twice")
    if plugin.module == builtin.__name__:
        return
    for record in records:
        if record.name in builtin.RESERVED.get(kind.group, ()):
            raise ValueError(f"{kind.group} {record.name} is aeros-core's own; choose another name")
        taken = set(record.suffixes) & builtin.SUFFIXES if isinstance(record, Format) else ()
        if taken:
            raise ValueError(f"suffix {min(taken)} belongs to aeros-core's own format")
