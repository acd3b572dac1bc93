"""List everything that a configuration may choose: registered options, and presets in files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from aeros_core.cli.commands import CORE
from aeros_core.cli.options import docstrings
from aeros_core.cli.options.fields import Field, fields_of, prefix
from aeros_core.errors import AerosError, ConfigError
from aeros_core.plugins import config_files, discovery
from aeros_core.plugins.registry import Health, Plugin, Registry, nearest
from aeros_core.plugins.single_files import plugin_files
from aeros_core.tasks.infrastructure import Description
from aeros_core.tasks.presets import TASKS

__all__ = ["Choice", "choices", "find", "groups"]


@dataclass(frozen=True, slots=True)
class Choice:
    """One option that can be chosen: a registered dataclass, or a preset in a file.

    Args:
        group: Its group, as ``trainer/model``.
        name: Its name.
        plugin: The plugin that offers it.
        config: Its dataclass; None for a preset.
        preset: Text of its file; empty for a dataclass.
    """

    group: str
    name: str
    plugin: Plugin
    config: type[Any] | None = None
    preset: str = ""

    @property
    def summary(self) -> str:
        """Its first line: of the docstring, or of the comments at the head of the file."""
        if self.config is not None:
            return docstrings.summary(self.config)
        return next(iter(docstrings.comments(self.preset)), "")

    @property
    def text(self) -> list[str]:
        """Further paragraphs that describe it."""
        if self.config is not None:
            return docstrings.text(self.config)
        return [" ".join(docstrings.comments(self.preset)[1:])]

    @property
    def fields(self) -> list[Field]:
        """Its fields; a preset has none of its own."""
        return [] if self.config is None else fields_of(self.config, self.group, self.name)

    @property
    def use(self) -> str:
        """The command to type to use it; words in capitals are to be replaced."""
        line = _USES.get(self.group, "aeros run {group}={name}")
        if self.group == "transformer":
            line = _transformer(self.config)
        elif (self.group, self.name) == ("task", "inference"):
            line += " task.start=MODEL"
        line = line.format(group=self.group, name=self.name)
        for file in plugin_files.requested():
            if file.name == self.plugin.name:
                command, verb, *rest = line.split(" ")
                line = " ".join([command, verb, plugin_files.FLAG, file.path, *rest])
        own = f"{prefix(self.group, self.name)}."
        numbers = [each for each in self.fields if type(each.default) in (int, float)]
        first = next((each for each in numbers if each.option.startswith(own)), None)
        return f"{line} {first.option}={first.shown}" if first else line


_USES = {
    "callback": "aeros run callback=[{name}]",
    "collector/rule": "aeros run collector=ema collector/rule={name}",
    "inferencer": "aeros serve model=MODEL inferencer={name}",
    "hydra/launcher": "aeros run -m hydra/launcher={name} task.seed=0,1",
    "hydra/sweeper": "aeros run -m hydra/sweeper={name} task.seed=0,1",
}
"""Commands for the groups of which ``aeros run GROUP=OPTION`` is not the whole."""


def _transformer(config: type[Any] | None) -> str:
    """Return the command for a transformer, which has its place in a chain.

    A chain is a source, a partitioner and steps; the implementation shows which of them it is.
    """
    made: Any = None
    with suppress(AerosError):  # a library that it needs may be missing
        made = discovery.implementation(str(getattr(config, "_target_", "")))
    if hasattr(made, "load"):
        return "aeros run experiment=null transformer=[{name},iid]"
    place = "{name},standardise" if hasattr(made, "partition") else "iid,{name}"
    return f"aeros run experiment=null transformer=[digits,{place}]"


def choices(registry: Registry) -> list[Choice]:
    """Return everything that can be chosen, by group and name.

    Args:
        registry: What discovery found.
    """
    found = [
        Choice(group, name, option.plugin, option.config)
        for (group, name), option in registry.options.items()
    ]
    found += [Choice("task", name, CORE, kind) for name, kind in TASKS.items()]
    found.append(Choice("infrastructure", "this_machine", CORE, Description))
    for plugin in registry.plugins:
        if plugin.status is Health.OK:
            found += _presets(plugin)
    return sorted(found, key=lambda each: (each.group, each.name))


def _presets(plugin: Plugin) -> Iterator[Choice]:
    with suppress(Exception):  # a package of files may fail as any import
        package = config_files.package_of(plugin)
        for path in sorted(config_files.shipped(plugin)):
            group, _, name = path.rpartition("/")
            if group:
                text = files(package).joinpath(f"{path}.yaml").read_text(encoding="utf-8")
                yield Choice(group, name, plugin, preset=text)


def groups(listed: Sequence[Choice]) -> list[str]:
    """Return the groups of these choices, sorted."""
    return sorted({each.group for each in listed})


def find(registry: Registry, listed: Sequence[Choice], word: str) -> list[Choice]:
    """Return the options of ``GROUP``, or the one of ``GROUP=OPTION``.

    Raises:
        ConfigError: There is no such group, or no such preset.
        PluginError: No plugin that works offers the option.
    """
    group, sign, name = word.partition("=")
    found = [each for each in listed if each.group == group]
    if not found:
        raise _unknown_group(listed, group)
    if not sign:
        return found
    if chosen := [each for each in found if each.name == name]:
        return chosen
    raise _unknown_option(registry, found, group, name)


def _unknown_group(listed: Sequence[Choice], group: str) -> ConfigError:
    there = groups(listed)
    holding = [f"{each.group}={each.name}" for each in listed if each.name == group]
    close = nearest(group, there)[:1]
    hint = f"aeros options {(holding + close)[0]}" if holding or close else "aeros options"
    return ConfigError(f"group {group} does not exist", exists=", ".join(there), hint=hint)


def _unknown_option(
    registry: Registry, found: Sequence[Choice], group: str, name: str
) -> AerosError:
    if any(each.config is not None and each.plugin is not CORE for each in found):
        error: AerosError = registry.missing(group, name)
    else:
        error = ConfigError(f"{group}={name} does not exist", exists=_names(found))
    close = nearest(name, [each.name for each in found])
    if close:
        error = type(error)(
            error.asked,
            exists=error.exists,
            provider=error.provider,
            hint=f"aeros options {group}={close[0]}",
        )
    elif not error.hint:
        error = type(error)(error.asked, exists=error.exists, hint=f"aeros options {group}")
    return error


def _names(found: Sequence[Choice]) -> str:
    return ", ".join(each.name for each in found)
