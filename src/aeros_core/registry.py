"""What plugins offer, by group and name, and who offers it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from aeros_core import __version__
from aeros_core.errors import PluginError
from aeros_core.options import OptionKind, dataset_of, default_of, is_list, kinds

__all__ = [
    "DISTRIBUTIONS",
    "Health",
    "Located",
    "Option",
    "Plugin",
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
        provides: What it offers, as ``group=option``.
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

    def __str__(self) -> str:
        """Return ``distribution version``."""
        return f"{self.distribution} {self.version}"


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
class Located:
    """An option of a configuration that names a file, a folder, an address or a variable.

    Args:
        where: Its key in the whole, as ``transformer.table.path``.
        name: Its own name, as ``path``.
        kind: What it names.
        node: The configuration of the part that has it; it may lack the option.
        config: The dataclass that declares it.
    """

    where: str
    name: str
    kind: OptionKind
    node: Mapping[str, Any]
    config: type[Any]

    @property
    def default(self) -> Any:
        """Its value where nothing sets it."""
        return default_of(self.config, self.name)

    @property
    def dataset(self) -> str:
        """Where it lies below the folder of data sets if its value is None; empty: nowhere."""
        return dataset_of(self.config, self.name)

    @property
    def is_list(self) -> bool:
        """Whether it names several."""
        return is_list(self.config, self.name)


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything that discovery found.

    Args:
        plugins: Every plugin, also failed and skipped ones, by name.
        options: ``{(group, option name): option}``, unambiguous ones alone.
        clashes: ``{(group, option name): plugins}`` where several offer the same name.
    """

    plugins: tuple[Plugin, ...]
    options: Mapping[tuple[str, str], Option]
    clashes: Mapping[tuple[str, str], tuple[Plugin, ...]] = field(default_factory=dict)

    def names(self, group: str) -> list[str]:
        """Return the options of a group, sorted."""
        return sorted(name for g, name in self.options if g == group)

    def by_target(self, group: str, target: str) -> Option | None:
        """Return the option of a group that is implemented by ``target``."""
        for option in self.options.values():
            if option.group == group and option.target == target:
                return option
        return None

    def located(self, node: object, where: str) -> Iterator[Located]:
        """Yield every option in a configuration that names something outside of it.

        Parts are looked for at any depth, within the options of other parts, too.

        Args:
            node: The configuration, of a part or of many.
            where: Its key in the whole.
        """
        if isinstance(node, Mapping):
            target, seen = node.get("_target_"), set()
            for option in self.options.values() if isinstance(target, str) else ():
                for name, kind in option.kinds.items() if option.target == target else ():
                    if name not in seen:
                        yield Located(f"{where}.{name}", name, kind, node, option.config)
                    seen.add(name)
        inner = node.items() if isinstance(node, Mapping) else ()
        for key, value in enumerate(node) if isinstance(node, list) else inner:
            yield from self.located(value, f"{where}.{key}")

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
        return "aeros plugins shows what is installed"


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
