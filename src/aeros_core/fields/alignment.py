"""Data brought to an agreed schema: columns and categories are matched by name.

Sites store the same columns in another order and dtype, and hold some of the categories. A code
means something only beside the names it was made from, so codes are made anew from the names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Dataset
from aeros_core.errors import ConfigError
from aeros_core.fields.categories import factored, meaning_of, name_of, recoded
from aeros_core.schema import Field, Schema, Unknown

__all__ = ["Differences", "SchemaMismatch", "SourceSchema", "align", "without_ranges"]

_EXACT = 2**24
"""Whole numbers up to here are exact in float32; larger ones have lost their name."""

_SHOWN = 20
"""Fields that a message names."""


@dataclass(frozen=True, slots=True)
class SourceSchema:
    """The schema of a task's data before the first step, the same on every node.

    Args:
        schema: Its fields, in order.
        optional: Fields that need not be in the data and stay as they are; None: any.
        labelled: Whether data have to have the target, and of a class that is known. Where they
            need not, the code of an unknown class is -1.
    """

    schema: Schema
    optional: tuple[str, ...] | None = ()
    labelled: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data, for nodes that train."""
        return {"schema": self.schema.to_json(), "optional": list(self.optional or ())}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SourceSchema:
        """Read what `to_json` wrote.

        Raises:
            LookupError, TypeError or AttributeError: It is something else.
        """
        names = data["optional"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError("optional fields are names")
        return cls(Schema.from_json(data["schema"]), tuple(names))


@dataclass(frozen=True, slots=True)
class Differences:
    """How data differ from an agreed schema; holds no value of a row.

    Args:
        missing: Fields of the schema that the data lack.
        kinds: What keeps a field from being used, by name, in words.
        unknown: Number of distinct categories that the schema does not know, by field.
        handled: Number of distinct unknown categories that follow the field's rule, by field.
        extra: Names of fields that the schema does not have; they are left out.
        found: Names of all categories that the data hold, of fields with unknown ones. They
            stay on the node unless its policy publishes the field's categories.
    """

    missing: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)
    handled: Mapping[str, int] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    found: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Tell whether they keep the data from being used."""
        return bool(self.missing or self.kinds or self.unknown)

    def lines(self) -> list[str]:
        """Return one line for each field that differs; without any value of a row."""
        lines = [f"column '{name}' is missing" for name in self.missing]
        lines += [f"column '{name}' {kind}" for name, kind in self.kinds.items()]
        lines += [
            f"column '{name}' holds {count} {'category' if count == 1 else 'categories'}"
            " that the task does not know"
            for name, count in self.unknown.items()
        ]
        return lines[:_SHOWN] + [f"and {len(lines) - _SHOWN} more"] * (len(lines) > _SHOWN)


class SchemaMismatch(ConfigError):
    """Data cannot be brought to an agreed schema."""

    differences = Differences()

    @classmethod
    def of(
        cls,
        differences: Differences,
        fact: str = "the data do not fit the task's schema",
        exists: str = "",
        hint: str = "",
    ) -> SchemaMismatch:
        """Return the error that names every difference, and what unknown categories there are."""
        found = {n: differences.found.get(n, ()) for n in differences.unknown}
        held = "; ".join(f"{name} holds {_shown(names)}" for name, names in found.items())
        error = cls(f"{fact}: " + "; ".join(differences.lines()), exists=held or exists, hint=hint)
        error.differences = differences
        return error


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def align(
    data: Dataset, agreed: SourceSchema, hint: Callable[[Differences], str] = lambda _: ""
) -> tuple[Dataset, Differences]:
    """Return data as an agreed schema says: its fields, in its order, with its codes.

    Args:
        data: Every row of it; `Dataset.rows` is None.
        agreed: What the data are brought to.
        hint: Returns what to type where the data do not fit.

    Returns:
        The data, and what was left out of them (`Differences.extra`).

    Raises:
        SchemaMismatch: A field is missing, holds what cannot be one of its values, or unknown
            categories where these are refused.
    """
    wanted, found = agreed.schema, _Found()
    fields, columns = [], {}
    for one in wanted.fields:
        if one.name not in data.schema:
            found.lack(one.name, optional=not agreed.labelled and one.name == wanted.target)
            continue
        free = one.name == wanted.target and not agreed.labelled
        column = _column(one, data.schema[one.name], data.columns[one.name], found, free=free)
        fields.append(one)
        columns[one.name] = column
    kept = _kept(data.schema, agreed, columns)
    differences = found.differences(
        name for name in data.schema.names if name not in columns and name not in kept
    )
    if differences:
        raise SchemaMismatch.of(differences, hint=hint(differences))
    fields += [data.schema[name] for name in kept]
    columns |= {name: data.columns[name] for name in kept}
    target = wanted.target if wanted.target in columns else None
    return Dataset(Schema(tuple(fields), target), columns), differences


def _kept(schema: Schema, agreed: SourceSchema, columns: Collection[str]) -> list[str]:
    """Return the optional fields that data have, in their order."""
    names = [name for name in schema.names if name not in columns]
    return names if agreed.optional is None else [n for n in names if n in agreed.optional]


class _Found:
    """Collects how fields differ, so that all are named at once."""

    def __init__(self) -> None:
        self._missing: list[str] = []
        self._kinds: dict[str, str] = {}
        self._unknown: dict[str, int] = {}
        self._handled: dict[str, int] = {}
        self._names: dict[str, tuple[str, ...]] = {}

    def lack(self, name: str, *, optional: bool) -> None:
        if not optional:
            self._missing.append(name)

    def refuse(self, name: str, kind: str) -> None:
        self._kinds.setdefault(name, kind)

    def strange(
        self, name: str, unknown: Sequence[str], names: Sequence[str], *, refused: bool
    ) -> None:
        (self._unknown if refused else self._handled)[name] = len(unknown)
        self._names[name] = tuple(names)

    def differences(self, extra: Iterable[str]) -> Differences:
        return Differences(
            tuple(self._missing),
            self._kinds,
            self._unknown,
            self._handled,
            tuple(extra),
            self._names,
        )


def _column(wanted: Field, have: Field, column: Array, found: _Found, *, free: bool) -> Array:
    """Return a column as its field says; what keeps it from that is added to ``found``."""
    if have.unit not in (None, wanted.unit) and wanted.unit is not None:
        found.refuse(wanted.name, "has another unit")
    if not wanted.fits(have.shape):  # type: ignore[arg-type]  # data have no open lengths
        found.refuse(wanted.name, "has another shape")
    elif wanted.categories is None:
        return column if wanted.dtype == have.dtype else _numbers(wanted, have, column, found)
    elif wanted.dtype == have.dtype and wanted.categories == have.categories:
        return column
    else:
        return _categories(wanted, have, column, found, free=free)
    return column


def _numbers(wanted: Field, have: Field, column: Array, found: _Found) -> Array:
    """Return a column as numbers, also one whose categories are the texts of numbers."""
    if wanted.dtype == "str":
        return _spelled(*_names(wanted, have, column, found))
    if have.categories is not None or have.dtype == "str":
        names, codes = _names(wanted, have, column, found)
        try:
            values = np.array([_number(name) for name in names], dtype=np.float64)
        except ValueError:
            found.refuse(wanted.name, "holds text, not numbers")
            return column
        return values[codes].astype(wanted.dtype)
    if wanted.dtype.startswith("float") or np.can_cast(column.dtype, wanted.dtype):
        return column.astype(wanted.dtype)
    whole: Array = column.astype(wanted.dtype)
    if not np.array_equal(whole, column):
        found.refuse(wanted.name, "holds fractions, not whole numbers")
    return whole


def _number(name: str) -> float:
    """Return the number that a name spells.

    Raises:
        ValueError: It spells none that is finite.
    """
    value = float(meaning_of(name))
    if not math.isfinite(value):
        raise ValueError("not finite")
    return value


def _categories(wanted: Field, have: Field, column: Array, found: _Found, *, free: bool) -> Array:
    """Return a column in the categories of its field: as codes, or as texts."""
    names, old = _names(wanted, have, column, found)
    codes, unknown = recoded(wanted, names, old)
    if unknown and not free:
        refused = wanted.unknown is Unknown.refuse
        found.strange(wanted.name, unknown, have.categories or names, refused=refused)
    if wanted.dtype != "str":
        return codes.astype(wanted.dtype)
    return _spelled([*(wanted.categories or ()), ""], codes)  # code -1 is the last


def _spelled(names: Sequence[str], codes: Array) -> Array:
    """Return texts of codes; rows share the strings."""
    spelled = np.empty(len(names), object)
    spelled[:] = names
    return spelled[codes]


def _names(wanted: Field, have: Field, column: Array, found: _Found) -> tuple[Sequence[str], Array]:
    """Return the names of a column's values, and which of them each value has."""
    if have.dtype == "str":
        return factored(column)
    if have.categories is not None:
        return have.categories, column
    values, codes = np.unique(column, return_inverse=True)
    if column.dtype.kind == "f" and not (np.isfinite(values) & (np.abs(values) <= _EXACT)).all():
        found.refuse(wanted.name, "holds numbers, not categories")
    return [name_of(value) for value in values.tolist()], codes.reshape(column.shape)


def without_ranges(schema: Schema) -> Schema:
    """Return a schema without the ranges that were observed in the rows of one side."""
    return replace(schema, fields=tuple(replace(one, range=None) for one in schema.fields))
