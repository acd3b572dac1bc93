"""Bounds on what an executor says of itself when it joins: before it is used, shown or stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aeros_core.federated.updates.reply_limits import name_fault
from aeros_core.federated.updates.validation import MOST_EXAMPLES
from aeros_core.tasks.round_counters import shown
from aeros_flower.protocol.message_content import WireError, of

__all__ = ["DEEPEST", "MOST", "bounded"]

DEEPEST = 16
"""Lists and objects within one another."""

MOST = 100_000
"""Values in all; the categories of a schema are most of them."""

LONGEST = 10_000
"""Characters of one text."""

_NAME = 100
"""Characters of an executor's name."""


def bounded(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an executor says of itself, its error as one line.

    Raises:
        WireError: It is too long, too deep, or has no name that could stand in a log.
    """
    _measure(told)
    name = of(told.get("name"), str, "name")
    if wrong := name_fault(name):
        raise WireError(wrong)
    if len(name) > _NAME:
        raise WireError(f"its name has {len(name)} characters, at most {_NAME} are allowed")
    if not 0 <= of(told.get("examples", 0), int, "examples") <= MOST_EXAMPLES:
        raise WireError("its examples are no number from 0 to 2^53")
    for package, version in of(told.get("versions"), dict, "versions").items():
        if wrong := name_fault(package) or name_fault(version):
            raise WireError(f"among its versions {wrong}")
    return {**told, "error": shown(of(told.get("error", ""), str, "error"))}


def _measure(told: Mapping[str, Any]) -> None:
    """Refuse plain data with too many values, too long texts, or too deep."""
    todo: list[tuple[Any, int]] = [(told, 1)]
    count = 0
    while todo:
        value, depth = todo.pop()
        count += 1
        if depth > DEEPEST:
            raise WireError(f"it is nested deeper than {DEEPEST}")
        if isinstance(value, str) and len(value) > LONGEST:
            raise WireError(f"a text has {len(value)} characters, at most {LONGEST} are read")
        if isinstance(value, dict):
            todo += [(part, depth + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list):
            todo += [(part, depth + 1) for part in value]
        if count + len(todo) > MOST:
            raise WireError(f"it says more than {MOST} things")
