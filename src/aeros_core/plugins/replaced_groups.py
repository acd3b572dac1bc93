"""Entry-point groups that registration hooks have replaced, and which plugins still use them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint

from aeros_core.hookspecs import RECORDS
from aeros_core.plugins import entry_points
from aeros_core.plugins.registry import Health, Plugin

__all__ = ["REPLACED", "checked"]

REPLACED: Mapping[str, str] = {
    "aeros.commands": "aeros_commands",
    "aeros.formats": "aeros_formats",
    "aeros.subtasks": "aeros_subtasks",
    "aeros.delivery": "aeros_deliveries",
    "aeros.onnx": "aeros_onnx_exporters",
}
"""The hook that replaces each entry-point group."""


def checked(plugins: Sequence[Plugin], entries: Iterable[EntryPoint]) -> list[Plugin]:
    """Return the plugins, failed where they offer something in a replaced group alone.

    A distribution may name a replaced group for older versions of aeros-core: where it
    implements the hook, too, nothing is wrong with it. One without a plugin of the group
    ``aeros`` gets a record of its own.

    Args:
        plugins: What discovery found.
        entries: The entry points of replaced groups.
    """
    found = list(plugins)
    for distribution, of_it in _by_distribution(entries).items():
        own = [p for p in found if p.distribution == distribution]
        lacking = [entry for entry in of_it if not any(_has_hook(p, entry) for p in own)]
        if not lacking or any(p.status is not Health.OK for p in own):
            continue
        if not own:
            found.append(_failed(_record(of_it[0]), lacking))
        found = [_failed(p, lacking) if p in own else p for p in found]
    return found


def _by_distribution(entries: Iterable[EntryPoint]) -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for entry in sorted(set(entries), key=lambda entry: (entry.group, entry.name)):
        found.setdefault(entry_points.named(entry.dist), []).append(entry)
    return dict(sorted(found.items()))


def _has_hook(plugin: Plugin, entry: EntryPoint) -> bool:
    """Tell whether a plugin offers something with the hook that replaces an entry's group."""
    prefix = f"{RECORDS[REPLACED[entry.group]].group}="
    return any(name.startswith(prefix) for name in plugin.provides)


def _record(entry: EntryPoint) -> Plugin:
    name = entry_points.named(entry.dist)
    module = entry.value.partition(":")[0].strip()
    return Plugin(name, name, entry_points.version(entry.dist), module)


def _failed(plugin: Plugin, entries: Sequence[EntryPoint]) -> Plugin:
    groups = {entry.group: "" for entry in entries}
    said = []
    for group in groups:
        names = ", ".join(entry.name for entry in entries if entry.group == group)
        said.append(
            f"{plugin.distribution} names {names} in the entry-point group {group},"
            f" which the hook {REPLACED[group]} replaces"
        )
    return plugin.failed("; ".join(said))
