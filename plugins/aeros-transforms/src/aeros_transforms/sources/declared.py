"""Categories and units that a task declares for the fields of its data."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

from aeros_core.alignment import Differences
from aeros_core.categories import name_of, with_other
from aeros_core.errors import ConfigError
from aeros_core.schema import Field, Schema, Unknown
from aeros_transforms.options import all_known

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
        categories: Mapping[Any, Any],
        unknown: Unknown,
        units: Mapping[Any, Any] | None = None,
    ) -> None:
        self._option, self._unknown = option, unknown
        self.categories = {
            str(name): _names(f"{option}.categories", str(name), values)
            for name, values in _mapping(f"{option}.categories", categories).items()
        }
        given = _mapping(f"{option}.units", units or {})
        self._units = {str(name): str(unit) for name, unit in given.items()}

    def check(self, names: Sequence[str], where: str) -> None:
        """Refuse declarations for fields that there are not.

        Raises:
            ConfigError: There is no such field.
        """
        all_known(f"{self._option}.categories", tuple(self.categories), names, where)
        all_known(f"{self._option}.units", tuple(self._units), names, where)

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
        known = {
            name: (*self.categories.get(name, ()), *differences.found.get(name, ()))
            for name in differences.unknown
        }
        return to_type(self._option, {n: tuple(dict.fromkeys(v)) for n, v in known.items()})


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


def to_type(option: str, categories: Mapping[str, Sequence[str]], *, more: bool = False) -> str:
    """Return the override that declares categories, as it is typed; empty where there are none.

    Args:
        option: Where it stands, as in ``transformer.table``.
        categories: By field.
        more: Whether others are to be added.
    """
    if not categories:
        return ""
    end = [", …" if values else "…" for values in categories.values()] if more else None
    lists = [
        f"{name}: [{', '.join(map(_typed, values))}{end[i] if end else ''}]"
        for i, (name, values) in enumerate(categories.items())
    ]
    return shlex.quote(f"{option}.categories={{{', '.join(lists)}}}")


def _typed(name: str) -> str:
    """Return a category as Hydra reads it."""
    if _PLAIN.fullmatch(name) and (
        name.lower() not in _READ_AS_OTHERS or name in ("True", "False")
    ):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _mapping(option: str, given: Any) -> Mapping[Any, Any]:
    if isinstance(given, Mapping):
        return given
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
