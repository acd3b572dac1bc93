"""The forms of plain data: what a record has to consist of before it is used.

A checksum tells that a file is the one that was written, and not that its writer was right.
So each record is held against a form, put together from functions that tell whether a value
has it. There may be parts that a form does not name.

What plugins have a say in, such as metrics, is only held to be a mapping: a record that could
be written can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

__all__ = ["RECORDS", "Form", "each", "many", "one_of", "record", "row"]

Form: TypeAlias = Callable[[object], bool]
"""Tells whether a value has a form."""

Part: TypeAlias = type | Form
"""A form, or the type that a value has to be of, exactly."""


def one_of(*parts: Part | None) -> Form:
    """Values that have one of these forms; None stands for itself."""
    types = {part for part in parts if isinstance(part, type)}
    types |= {type(None)} if None in parts else set()
    forms = [part for part in parts if part is not None and not isinstance(part, type)]
    return lambda value: type(value) in types or any(form(value) for form in forms)


def many(part: Part) -> Form:
    """Lists whose every part has this form."""
    form = _form(part)
    return lambda value: type(value) is list and all(map(form, value))


def row(*types: type) -> Form:
    """Lists whose parts are of these types, one each."""
    wanted = [*types]
    return lambda value: type(value) is list and [*map(type, value)] == wanted


def each(part: Part) -> Form:
    """Mappings from any text whose every value has this form."""
    form = _form(part)
    return lambda value: type(value) is dict and all(map(form, value.values()))


def record(parts: Mapping[str, Part], maybe: Mapping[str, Part] | None = None) -> Form:
    """Mappings with these parts; others may be absent, but if they are there have these forms."""
    plain = {name: part for name, part in parts.items() if isinstance(part, type)}
    names, types = [*plain], [*plain.values()]
    deep = [(name, _form(part)) for name, part in parts.items() if name not in plain]
    more = [(name, _form(part)) for name, part in (maybe or {}).items()]

    def fits(value: object) -> bool:
        if type(value) is not dict or [type(value.get(name)) for name in names] != types:
            return False
        return all(name in value and form(value[name]) for name, form in deep) and all(
            form(value[name]) for name, form in more if name in value
        )

    return fits


def _form(part: Part) -> Form:
    return one_of(part) if isinstance(part, type) else part


_NUMBER = one_of(int, float)
_ARRAY = record({"$blob": str})
_STATES = each(each(one_of(int, float, str, bool, _ARRAY)))
_BYTES = record({"sent": int, "received": int})

_ROUND = record(
    {
        "round": int,
        "metrics": dict,
        "federated": dict,
        "training": dict,
        "nodes": each(dict),
        "refused": dict,
        "dropped": each(each(int)),
        "seconds": dict,
        "bytes": _BYTES,
    },
    {"capped": each(each(int))},
)

RECORDS: Mapping[str, Form] = {
    "repository": record({}),
    "run": record(
        {
            "id": str,
            "task": str,
            "identity": str,
            "config": dict,
            "versions": dict,
            "created": str,
        }
    ),
    "round": record(
        {
            "round": _ROUND,
            "seconds": _NUMBER,
            "parameters": each(str),
            "state": _STATES,
            "kept": many(int),
        },
        {"bases": many(str)},
    ),
    "result": record(
        {
            "task": str,
            "status": str,
            "rounds": int,
            "metrics": dict,
            "model": dict,
            "seconds": _NUMBER,
            "bytes": _BYTES,
            "versions": dict,
            "dropped": dict,
        },
        {"capped": each(int)},
    ),
    "model": record(
        {
            "digest": str,
            "parameters": each(str),
            "nbytes": int,
            "schema": dict,
            "module": dict,
            "transformers": dict,
            "fitted": _STATES,
            "run": str,
            "round": int,
            "metrics": dict,
            "versions": dict,
            "parents": many(str),
            "created": str,
        },
        {"bases": many(str), "inputs": one_of(dict, None), "samples": each(_ARRAY)},
    ),
    "tag": record({"version": int}),
    "algorithm": record(
        {
            "name": str,
            "version": str,
            "sha256": str,
            "size": int,
            "key": str,
            "signature": str,
            "wheel": str,
        }
    ),
    "index": record({"rows": many(row(int, str, str, int, dict, str, int, list))}),
}
"""The form of the content of each kind of manifest."""
