"""The addresses that the parts of a task would connect to."""

from __future__ import annotations

from typing import Any

from aeros_core.options.metadata import OptionKind, default_of, renamed
from aeros_core.plugins.registry import Option, Registry
from aeros_flower.site.policy.parts import Part

__all__ = ["named_by"]


def named_by(registry: Registry, part: Part) -> list[str]:
    """Return the addresses among a part's options, their defaults where it sets none."""
    found: list[str] = []
    for name in part.names:
        option = registry.options[part.group, name]
        found += [
            address
            for key, kind in option.kinds.items()
            if kind is OptionKind.ADDRESS
            for address in _texts(_value(option, part, key))
        ]
    return list(dict.fromkeys(found))


def _value(option: Option, part: Part, key: str) -> Any:
    return renamed(option.config, part.options).get(key, default_of(option.config, key))


def _texts(value: Any) -> list[str]:
    return [str(v) for v in (value if isinstance(value, list | tuple) else [value]) if v]
