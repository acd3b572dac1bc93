"""Categories and units that a task declares for the fields of its data."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

from aeros_core.errors import ConfigError
from aeros_core.fields.alignment import Differences
from aeros_core.fields.categories import name_of, with_other
from aeros_core.plugins.registry import nearest
from aeros_core.schema import Field, Schema, Unknown

__all__ = ["Declared", "rule_of", "to_type"]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*|-?(0|[1-9][0-9]*)")
_READ_AS_OTHERS = {"true", "TRUE", "false", "FALSE"}
_NOT_TEXT = {"null", "nan", "inf"}


class Declared:
    """What the options ``categories``, ``unknown`` and ``units`` of a source declare.

    Args:
        option: Where they stand, as in ``transformer.table``.
        categories: The categories of fields, by name.
        unknown: What happens to a value of a feature that is none of its categories.
        units: The units of fields, by name.

    Raises:
        ConfigError: They are not lists of categories, or not units, by name.
    """

    def __init__(
        self,
        option: str,
        categories: Mapping[Any, Any] | None,
        unknown: Unknown,
        units: Mapping[Any, Any] | None = None,
    ) -> None:
        self._option, self._unknown = option, unknown
        self.categories = {
            str(name): _names(f"{option}.categories", str(name), values)
            for name, values in _mapping(f"{option}.categories", categories).items()
        }
        given = _mapping(f"{option}.units", units)
        self._units = {str(name): str(unit) for name, unit in given.items()}

    def check(self, names: Sequence[str], where: str) -> None:
        """Refuse declarations for fields that there are not.

        Raises:
            ConfigError: There is no such field.
        """
        for option, given in (("categories", self.categories), ("units", self._units)):
            for name in (name for name in given if name not in names):
                near = nearest(name, names)
                renamed = {near[0] if n == name and near else n: v for n, v in given.items()}
                raise ConfigError(
                    f"{self._option}.{option}: column '{name}' is not in {where}",
                    exists=", ".join(names) or "no column at all",
                    hint=to_type(f"{self._option}.{option}", renamed) if near else "",
                )

    def schema(
        self, schema: Schema, group: str | None, seen: Mapping[str, Sequence[str]] | None = None
    ) -> Schema:
        """Return the schema of loaded data with what was declared in the place of what was found.

        Args:
            schema: As the data were found.
            group: The field that tells clients apart.
            seen: Categories of fields in the rows to train on, where these decide.
        """
        fields = [self._field(one, schema.target, group, seen or {}) for one in schema.fields]
        return replace(schema, fields=tuple(fields))

    def _field(
        self, field: Field, target: str | None, group: str | None, seen: Mapping[str, Sequence[str]]
    ) -> Field:
        field = replace(field, unit=self._units.get(field.name, field.unit))
        coded = field.name in (target, group)
        declared = self.categories.get(field.name)
        if declared is not None:
            dtype = "int64" if coded else "str"
            field = replace(field, dtype=dtype, range=None, categories=declared)
        if coded or field.categories is None or self._unknown is Unknown.refuse:
            return field
        names = declared or tuple(seen.get(field.name, field.categories))
        names = with_other(names, self._unknown)
        return replace(field, categories=names, unknown=self._unknown)

    def hint(self, differences: Differences) -> str:
        """Return what to type where data hold categories that were not declared."""
        if not differences.unknown:
            return ""
        found = {name: differences.found.get(name, ()) for name in differences.unknown}
        names = {name: (*self.categories.get(name, ()), *found[name]) for name in found}
        whole = self.categories | {n: tuple(dict.fromkeys(v)) for n, v in names.items()}
        return to_type(f"{self._option}.categories", whole)


def rule_of(option: str, given: Enum | str) -> Unknown:
    """Return the rule for unknown values that an option names.

    Raises:
        ConfigError: There is none of that name.
    """
    name = given.value if isinstance(given, Enum) else given
    try:
        return Unknown(name)
    except ValueError:
        names = ", ".join(Unknown)
        raise ConfigError(f"{option}={name} does not exist", exists=names) from None


def to_type(option: str, given: Mapping[str, Sequence[str] | str], *, more: bool = False) -> str:
    """Return the override that declares categories or units, as it is typed.

    Args:
        option: As in ``transformer.table.categories``.
        given: Categories, or the unit, by field.
        more: Whether other categories are to be added.
    """
    fields = [f"{name}: {_list(value, more=more)}" for name, value in given.items()]
    return shlex.quote(f"{option}={{{', '.join(fields)}}}")


def _list(value: Sequence[str] | str, *, more: bool) -> str:
    if isinstance(value, str):
        return _typed(value)
    return f"[{', '.join([*map(_typed, value), *(['…'] if more else [])])}]"


def _typed(name: str) -> str:
    """Return a category as Hydra reads it."""
    if _PLAIN.fullmatch(name) and name not in _READ_AS_OTHERS and name.lower() not in _NOT_TEXT:
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _mapping(option: str, given: Any) -> Mapping[Any, Any]:
    if given is None or isinstance(given, Mapping):
        return given or {}
    kind = "units" if option.endswith("units") else "lists of categories"
    example = "height: cm" if option.endswith("units") else "kind: [red, green]"
    raise ConfigError(
        f"{option} must map columns to {kind}, got {str(given)[:80]}",
        hint=shlex.quote(f"{option}={{{example}}}"),
    )


def _names(option: str, column: str, values: Any) -> tuple[str, ...]:
    """Return the names of declared categories.

    Raises:
        ConfigError: They are no list of distinct texts, numbers or booleans.
    """
    hint = shlex.quote(f"{option}={{{column}: [red, green]}}")
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise ConfigError(
            f"{option}: column '{column}' must have a list of categories, got {str(values)[:80]}",
            hint=hint,
        )
    for value in values:
        if not isinstance(value, str | int | float | bool) or value != value:  # noqa: PLR0124 - NaN
            raise ConfigError(
                f"{option}: a category of column '{column}' must be a text, a number or a boolean,"
                f" got {'null' if value is None else str(value)[:80]}",
                hint=hint,
            )
    names = tuple(map(name_of, values))
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ConfigError(f"{option}: column '{column}' has '{twice[0]}' twice", hint=hint)
    return names
