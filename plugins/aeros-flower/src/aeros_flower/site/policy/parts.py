"""The parts that a task names, each with the rule of a policy that decides about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aeros_core.options.choices import is_choice
from aeros_core.plugins.registry import Registry
from aeros_core.records import Model

__all__ = ["Part", "parts_of"]

_RULES = {
    "trainer": "trainers",
    "trainer/model": "models",
    "transformer": "transformers",
    "inferencer": "inferencers",
    "collector/codec": "codecs",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a task: which implementation, and where the task names it.

    Args:
        group: Group of its option, as ``trainer/model``.
        where: Key of it in the task, as ``trainer.model``.
        names: Names of the options it may be; none where nothing is registered for it.
        options: Its configuration.
    """

    group: str
    where: str
    names: tuple[str, ...]
    options: Mapping[str, Any]

    @property
    def rule(self) -> str:
        """Key of the policy that lists its name."""
        return _RULES[self.group]


def parts_of(
    registry: Registry, config: Mapping[str, Any], model: Model | None = None
) -> Iterator[Part]:
    """Yield every part that a task names, those within others included.

    Args:
        registry: What is installed.
        config: The task's configuration as plain data.
        model: What the task answers with; None: it trains.
    """
    named: list[tuple[str, str, Any]] = []
    for group in ("transformer", "trainer", "inferencer"):
        node = config.get(group) or {}
        if group == "transformer":
            named += [(group, f"transformer.{name}", one) for name, one in _items(node)]
        else:
            named.append((group, group, node))
    named.append(("collector/codec", "collector.codec", _get(config.get("collector"), "codec")))
    if model is not None:
        named.append(("trainer/model", "model.module", model.module))
        named += [("transformer", f"model.{n}", one) for n, one in model.transformers.items()]
    for group, where, node in named:
        yield from _within(registry, group, where, node)


def _within(registry: Registry, group: str, where: str, node: object) -> Iterator[Part]:
    """Yield the part that a node describes, and those that lie anywhere below it."""
    if not isinstance(node, Mapping | list):
        return
    if isinstance(node, Mapping) and is_choice(node):
        yield Part(group, where, _names(registry, group, node), node)
        group = "trainer/model" if group == "trainer" else group
    for key, value in _items(node):
        yield from _within(registry, group, f"{where}.{key}", value)


def _names(registry: Registry, group: str, node: Mapping[str, Any]) -> tuple[str, ...]:
    """Return every option that has the class of this part: the class is what would run."""
    chosen = registry.chosen(group, node)
    same = (n for (g, n), o in registry.options.items() if chosen and g == group
            and o.target == chosen.target)  # fmt: skip
    return tuple(sorted(same))


def _items(node: object) -> list[tuple[str, Any]]:
    if isinstance(node, Mapping):
        return [(str(key), value) for key, value in node.items()]
    return [(str(i), value) for i, value in enumerate(node)] if isinstance(node, list) else []


def _get(node: object, key: str) -> Any:
    return node.get(key) if isinstance(node, Mapping) else None
