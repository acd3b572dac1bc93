"""What plugins offer, by group and name, and who offers it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from aeros_core.errors import PluginError
from aeros_core.former_targets import FORMER_TARGETS
from aeros_core.hooks.extensions import Extension
from aeros_core.options.choices import FILE_VERSION, OPTION, ROLE, TARGET, is_choice
from aeros_core.options.metadata import OptionKind, defaults, kinds
from aeros_core.plugins.located_options import Located, naming_outside
from aeros_core.version import __version__

__all__ = [
    "DISTRIBUTIONS",
    "Health",
    "Option",
    "Plugin",
    "Provided",
    "Registry",
    "nearest",
    "versions",
]

DISTRIBUTIONS = {
    "collector": "aeros-aggregators",
    "collector/codec": "aeros-aggregators",
    "collector/rule": "aeros-aggregators",
    "inferencer": "aeros-torch",
    "repository": "aeros-zarr",
    "trainer": "aeros-torch",
    "trainer/model": "aeros-torch",
    "transformer": "aeros-transforms",
}
"""The distribution of ours that fills a group, to name it where it is not installed."""


class Health(StrEnum):
    """Whether a plugin can be used."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Plugin:
    """What is known of one installed plugin.

    Args:
        name: Name of its entry point.
        distribution: The distribution it came with.
        version: That distribution's version.
        module: The module its entry point names.
        status: Whether it can be used.
        provides: What it offers, as ``group=name``.
        reason: Why it cannot be used.
        fix: The command that mends it.
    """

    name: str
    distribution: str
    version: str
    module: str
    status: Health = Health.OK
    provides: tuple[str, ...] = ()
    reason: str = ""
    fix: str = ""

    def failed(self, reason: str, fix: str = "") -> Plugin:
        """Return the record of the same plugin, failed."""
        mend = fix or f"pip install --upgrade {self.distribution}"
        return replace(self, status=Health.FAILED, provides=(), reason=reason, fix=mend)

    @property
    def short_version(self) -> str:
        """The version; of a single file the first twelve digits of its SHA-256."""
        is_file = self.version.startswith(FILE_VERSION)
        return self.version[: len(FILE_VERSION) + 12] if is_file else self.version

    def __str__(self) -> str:
        """Return ``distribution version``."""
        return f"{self.distribution} {self.short_version}"


@dataclass(frozen=True, slots=True)
class Option:
    """One choice that a plugin offers for a configuration group."""

    group: str
    name: str
    config: type[Any]
    plugin: Plugin

    @property
    def target(self) -> str:
        """The import path of what implements it."""
        return str(self.config._target_)

    @property
    def kinds(self) -> dict[str, OptionKind]:
        """Which of its options name a file, a folder, an address or a variable."""
        return kinds(self.config)


@dataclass(frozen=True, slots=True)
class Provided:
    """A command, file format or other record that a plugin offers."""

    record: Extension
    plugin: Plugin


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything that discovery found.

    Args:
        plugins: Every plugin, also failed and skipped ones, by name.
        options: ``{(group, option name): option}``, unambiguous ones alone.
        clashes: ``{(group, name): plugins}`` where several offer the same name.
        extensions: ``{(group, name): record and plugin}``, unambiguous ones alone.
    """

    plugins: tuple[Plugin, ...]
    options: Mapping[tuple[str, str], Option]
    clashes: Mapping[tuple[str, str], tuple[Plugin, ...]] = field(default_factory=dict)
    extensions: Mapping[tuple[str, str], Provided] = field(default_factory=dict)

    def names(self, group: str) -> list[str]:
        """Return the options of a group, sorted."""
        return sorted(name for g, name in self.options if g == group)

    def chosen(self, group: str, node: Mapping[str, Any], name: str = "") -> Option | None:
        """Return the option of a group that a part of a configuration was chosen by.

        Args:
            group: Group of the option.
            node: The part, named by its option (`aeros_core.options.choices`), or by the import
                path of a class, also of one that has moved since.
            name: The part's own key, which may be its option's name.

        Returns:
            The option; where several have one class, the one whose defaults it has most of.
            None where nothing is registered for it.
        """
        if OPTION in node:
            found = self.options.get((group, str(node[OPTION])))
            return found if node.get(ROLE, group) == group else None
        same = self._implemented(group, str(node.get(TARGET)))
        if len(same) < 2:
            return same[0] if same else None
        return max(same, key=lambda one: (one.name == name, _agreement(one, node)))

    def _implemented(self, group: str, target: str) -> list[Option]:
        here = [o for o in self.options.values() if o.group == group and o.target == target]
        former = ((group, name) for name in FORMER_TARGETS.get(target, ()))
        return here or [self.options[key] for key in former if key in self.options]

    def defaults(self, group: str, name: str) -> Mapping[str, Any]:
        """Return the defaults of an option as plain data; none where it is not installed."""
        option = self.options.get((group, name))
        return {} if option is None else defaults(option.config)

    def located(self, node: object, where: str) -> Iterator[Located]:
        """Yield every option in a configuration that names something outside of it.

        Parts are looked for at any depth, within the options of other parts, too; options under
        a former name are found where they stand.

        Args:
            node: The configuration, of a part or of many.
            where: Its key in the whole.
        """
        if isinstance(node, Mapping):
            seen = set()
            for option in self._meant(node) if is_choice(node) else ():
                for name, kind in naming_outside(option.config, node).items():
                    if name not in seen:
                        yield Located(f"{where}.{name}", name, kind, node, option.config)
                    seen.add(name)
        inner = node.items() if isinstance(node, Mapping) else ()
        for key, value in enumerate(node) if isinstance(node, list) else inner:
            yield from self.located(value, f"{where}.{key}")

    def _meant(self, node: Mapping[str, Any]) -> list[Option]:
        """Return every option that a part may have been chosen by, of any group."""
        if OPTION in node:
            found = self.options.get((str(node.get(ROLE)), str(node[OPTION])))
            return [found] if found else []
        groups = dict.fromkeys(option.group for option in self.options.values())
        return [one for g in groups for one in self._implemented(g, str(node.get(TARGET)))]

    def missing(self, group: str, name: str) -> PluginError:
        """Return the error that says why ``group=name`` cannot be chosen."""
        asked = f"{group}={name}"
        if clash := self.clashes.get((group, name)):
            return PluginError(
                f"{asked} is offered by several packages, so none is taken",
                provider=" and ".join(str(plugin) for plugin in clash),
                hint=f"pip uninstall one of them, or AEROS_PLUGINS={clash[0].name} to load one",
            )
        exists = ", ".join(self.names(group)) or f"no {group} at all"
        broken = [p for p in self.plugins if p.status is not Health.OK]
        if broken:
            told = "; ".join(f"{p} is {p.status}: {p.reason}" for p in broken)
            return PluginError(
                f"{asked} does not exist", exists=exists, provider=told, hint=broken[0].fix
            )
        return PluginError(
            f"{asked} does not exist",
            exists=exists,
            provider=self._providers(group),
            hint=self._nearest(group, name),
        )

    def _providers(self, group: str) -> str:
        found = {str(option.plugin) for (g, _), option in self.options.items() if g == group}
        return ", ".join(sorted(found)) or "no installed package"

    def _nearest(self, group: str, name: str) -> str:
        if close := nearest(name, self.names(group)):
            return f"{group}={close[0]}"
        if not self.names(group) and group in DISTRIBUTIONS:
            return f"pip install {DISTRIBUTIONS[group]}"
        if self.names(group):
            return f"aeros options {group} lists them"
        return "aeros plugins shows what is installed"


def _agreement(option: Option, node: Mapping[str, Any]) -> int:
    """Return how many of a part's options are at the defaults of this one."""
    usual = defaults(option.config)
    return sum(key in usual and node[key] == usual[key] for key in node)


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """Return which names were perhaps meant: those like this one, else those with such a word."""
    import difflib

    there = list(names)
    if close := difflib.get_close_matches(name, there, n=1):
        return close
    words = {word for each in there for word in each.split("_") if len(word) > 2}
    meant = difflib.get_close_matches(name, words, n=1, cutoff=0.7)
    return [each for each in there if meant and meant[0] in each.split("_")][:3]


def versions(registry: Registry, options: Iterable[Option] = ()) -> dict[str, str]:
    """Return the versions of Python, aeros-core and the plugins behind these options."""
    found = {"python": ".".join(map(str, sys.version_info[:3])), "aeros-core": __version__}
    chosen = sorted({option.plugin for option in options}, key=str) or [
        plugin for plugin in registry.plugins if plugin.status is Health.OK
    ]
    return found | {plugin.distribution: plugin.version for plugin in chosen}
