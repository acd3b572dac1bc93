"""The forms of plain data: what a record has to consist of before it is used.

A checksum tells that a file is the one that was written, and not that its writer was right.
So each record is held against a form: a type, a tuple of forms of which one fits, a list
``[form]``, a list with a part of each of some types ``Row(types)``, a mapping from any text
``Each(form)``, or a mapping of named parts, a name that ends in ``?`` being one that may be
absent. There may be parts that a form does not name.

What plugins have a say in, such as metrics, is only held to be a mapping: a record that could
be written can be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["RECORDS", "Each", "Form", "Row", "fits"]

Form: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Each:
    """Mappings whose every value is of this form."""

    form: Form


@dataclass(frozen=True, slots=True)
class Row:
    """Lists whose parts are of these types, one each."""

    types: list[type]


_NUMBER = (int, float)
_STATES = Each(Each(({"$blob": str}, int, float, str, bool)))
_BYTES = {"sent": int, "received": int}

_ROUND = {
    "round": int,
    "metrics": dict,
    "federated": dict,
    "training": dict,
    "nodes": Each(dict),
    "refused": dict,
    "dropped": Each(Each(int)),
    "seconds": dict,
    "bytes": _BYTES,
}

RECORDS: Mapping[str, Form] = {
    "repository": {},
    "run": {
        "id": str,
        "task": str,
        "identity": str,
        "config": dict,
        "versions": dict,
        "created": str,
    },
    "round": {
        "round": _ROUND,
        "seconds": _NUMBER,
        "parameters": Each(str),
        "bases?": [str],
        "state": _STATES,
        "kept": [int],
    },
    "result": {
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
    "model": {
        "digest": str,
        "parameters": Each(str),
        "bases?": [str],
        "nbytes": int,
        "schema": dict,
        "inputs?": (dict, None),
        "module": dict,
        "transformers": dict,
        "fitted": _STATES,
        "run": str,
        "round": int,
        "metrics": dict,
        "versions": dict,
        "parents": [str],
        "created": str,
    },
    "tag": {"version": int},
    "algorithm": {
        "name": str,
        "version": str,
        "sha256": str,
        "size": int,
        "key": str,
        "signature": str,
        "wheel": str,
    },
    "index": {"rows": [Row([int, str, str, int, dict, str, int, list])]},
}
"""The form of the content of each kind of manifest."""


def fits(value: object, form: Form) -> bool:
    """Tell whether plain data have a form."""
    if isinstance(form, tuple):
        return any(fits(value, one) for one in form)
    if isinstance(form, list):
        return isinstance(value, list) and all(fits(part, form[0]) for part in value)
    if isinstance(form, Row):
        return isinstance(value, list) and [*map(type, value)] == form.types
    if isinstance(form, Each):
        return isinstance(value, dict) and all(fits(part, form.form) for part in value.values())
    if isinstance(form, dict):
        return isinstance(value, dict) and all(_has(value, *item) for item in form.items())
    return value is None if form is None else type(value) is form


def _has(value: Mapping[str, object], name: str, form: Form) -> bool:
    key = name.removesuffix("?")
    return fits(value[key], form) if key in value else key != name
