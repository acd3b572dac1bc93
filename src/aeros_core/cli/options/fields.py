"""Describe the fields of one option: name as it is typed, type, default, choices, description."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from aeros_core.cli.options.docstrings import arguments
from aeros_core.options.choices import MANY, MARKS
from aeros_core.options.metadata import MISSING, default_of, defaults, kinds

__all__ = ["Field", "fields_of", "prefix"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an option.

    Args:
        option: Key as it is typed: ``trainer.lr``, or ``trainer/model`` for a part of its own.
        type: Its type, as in ``float or null``.
        default: Its default as plain data; None also where it has to be set.
        required: Whether it has to be set.
        choices: Its values, where they are a closed list.
        description: What its docstring states, ranges among it.
    """

    option: str
    type: str
    default: Any
    required: bool
    choices: list[str] = field(default_factory=list)
    description: str = ""

    @property
    def shown(self) -> str:
        """The default as it is typed; ``required`` where there is none."""
        if self.required:
            return "required"
        if isinstance(self.default, str) and self.default:
            return self.default
        text = json.dumps(self.default, default=str)
        if len(text) > _LONGEST and isinstance(self.default, Mapping):
            return "{" + ", ".join(f"{key}: …" for key in self.default) + "}"
        return text


_LONGEST = 40
"""Characters of a default that is shown whole."""


def prefix(group: str, name: str) -> str:
    """Return the key of an option's fields as it is typed: ``transformer.clip``, ``trainer``."""
    key = group.replace("/", ".")
    return f"{key}.{name}" if group in MANY else key


def fields_of(config: type[Any], group: str, name: str) -> list[Field]:
    """Return the fields of an option, those of nested dataclasses by their full key.

    Args:
        config: The option's dataclass.
        group: Its group.
        name: Its name.
    """
    found = list(_fields(config, prefix(group, name), _parts(config, group, name)))
    if group == "collector":  # composition adds it to every collector
        codec = "Compression of updates on their way to the collector; null: none."
        found.append(Field("collector/codec", "option of collector/codec", None, False, [], codec))
    return found


def _parts(config: type[Any], group: str, name: str) -> dict[str, tuple[str, str, str]]:
    """Return the fields that hold parts of their own: key, group and default of each.

    They stand in the dataclass's ``defaults``, a defaults list of Hydra: ``{"model": "mlp"}``
    below ``trainer`` is ``trainer/model=mlp``, and ``{"rule@outer": "fedavg"}`` is
    ``collector/rule@collector.outer=fedavg``.
    """
    found = {}
    listed = defaults(config).get("defaults") or []
    for key, value in (
        pair for each in listed if isinstance(each, Mapping) for pair in each.items()
    ):
        inner, _, package = str(key).partition("@")
        inner_group = inner.removeprefix("/") if inner.startswith("/") else f"{group}/{inner}"
        own = package or inner.rpartition("/")[2]
        whole = f"{prefix(group, name)}.{own}"
        typed = inner_group if inner_group.replace("/", ".") == whole else f"{inner_group}@{whole}"
        found[own] = (typed, inner_group, str(value))
    return found


def _fields(
    config: type[Any], key: str, parts: Mapping[str, tuple[str, str, str]]
) -> Iterator[Field]:
    told, hints, named = arguments(config), _hints(config), kinds(config)
    for each in dataclasses.fields(config):
        if each.name in {*MARKS, "defaults"}:
            continue
        where, description = f"{key}.{each.name}", told.get(each.name, "")
        hint, default = hints.get(each.name, each.type), default_of(config, each.name)
        if each.name in parts:
            typed, group, usual = parts[each.name]
            yield Field(typed, f"option of {group}", usual, False, description=description)
        elif dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from _fields(hint, where, {})
        else:
            plain, required = _default(config, each.name, default)
            kind = f"{named[each.name]}, " if each.name in named else ""
            yield Field(where, kind + _type(hint), plain, required, _choices(hint), description)


def _default(config: type[Any], name: str, default: Any) -> tuple[Any, bool]:
    """Return a default as plain data, and whether the field has to be set instead."""
    usual = defaults(config)
    required = name not in usual or default == MISSING
    return (None if required else usual[name]), required


def _hints(config: type[Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(config)
    except Exception:  # an annotation of a plugin may name what is not imported
        return {}


def _choices(hint: Any) -> list[str]:
    for each in (hint, *typing.get_args(hint)):
        if isinstance(each, type) and issubclass(each, Enum):
            return [member.name for member in each]
    return []


def _type(hint: Any) -> str:
    """Return a type in words: ``float or null``, ``list of int``, ``relu | tanh``."""
    if isinstance(hint, str):
        return hint
    if hint is Any:
        return "any"
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        parts = ["null" if each is type(None) else _type(each) for each in typing.get_args(hint)]
        return " or ".join(parts)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is dict:
        return f"dict of {_type(inner[1])}"
    if origin is list:
        return f"list of {_type(inner[0])}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " | ".join(member.name for member in hint)
    return {"str": "text"}.get(getattr(hint, "__name__", ""), getattr(hint, "__name__", str(hint)))
