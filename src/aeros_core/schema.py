"""What data looks like: named fields with dtype, shape, range, unit and categories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from aeros_core.errors import ConfigError

__all__ = ["OTHER", "Field", "Schema", "Unknown"]

OTHER = "other"
"""Name of the category that stands for unknown ones under `Unknown.other`."""


class Unknown(StrEnum):
    """What happens to a value that is none of a field's categories.

    Attributes:
        refuse: The rows are refused.
        zeros: It belongs to no category: one-hot encoded it is all zeros, its code is -1.
        other: It counts as the category called ``other``.
    """

    refuse = "refuse"
    zeros = "zeros"
    other = "other"


@dataclass(frozen=True, slots=True)
class Field:
    """One named array of a batch, described for a single example.

    Args:
        name: The key of the array in a batch.
        dtype: numpy's name of the dtype; ``"*"`` in an expectation: any; ``"str"``: text.
        shape: Shape of one example, without the batch dimension; ``None`` in an
            expectation stands for any length. Empty for a scalar.
        range: Lowest and highest value, where known.
        unit: Unit of measurement, where there is one.
        categories: The values a categorical field takes. For integer codes,
            ``categories[code]`` is the name of the class.
        unknown: What happens to a value that is none of the categories.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] = ()
    range: tuple[float, float] | None = None
    unit: str | None = None
    categories: tuple[str, ...] | None = None
    unknown: Unknown = Unknown.refuse

    def to_json(self) -> dict[str, Any]:
        """Return the field as plain data; the rule for unknown values where it is not the usual."""
        row = asdict(self)
        if self.unknown is Unknown.refuse:
            del row["unknown"]
        return row

    def __str__(self) -> str:
        """Return for example ``image: float32 (28, 28), 0 to 255``."""
        shape = ", ".join("*" if n is None else str(n) for n in self.shape)
        text = f"{self.name}: {self.dtype} ({shape})"
        if self.range is not None:
            text += f", {self.range[0]:g} to {self.range[1]:g}"
        if self.unit:
            text += f" {self.unit}"
        if self.categories is not None:
            text += f", {len(self.categories)} categories"
        return text

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Tell whether an example of this shape is one of this field."""
        return len(shape) == len(self.shape) and all(
            there in (None, here) for here, there in zip(shape, self.shape, strict=True)
        )

    def mismatch(self, wanted: Field) -> str | None:
        """Return in words how this field fails to be what ``wanted`` asks, or None."""
        if wanted.dtype not in ("*", self.dtype):
            return f"dtype {self.dtype}, not {wanted.dtype}"
        if len(self.shape) != len(wanted.shape):
            return f"{len(self.shape)} dimensions, not {len(wanted.shape)}"
        for axis, (here, there) in enumerate(zip(self.shape, wanted.shape, strict=True)):
            if there is not None and here != there:
                return f"length {here} in dimension {axis}, not {there}"
        if wanted.range is not None and not _within(self.range, wanted.range):
            return f"range {_span(self.range)}, not within {_span(wanted.range)}"
        if wanted.unit is not None and self.unit != wanted.unit:
            return f"unit {self.unit or 'unknown'}, not {wanted.unit}"
        if wanted.categories is not None and self.categories != wanted.categories:
            return f"categories {self.categories}, not {wanted.categories}"
        return None


def _within(inner: tuple[float, float] | None, outer: tuple[float, float]) -> bool:
    return inner is not None and outer[0] <= inner[0] and inner[1] <= outer[1]


def _span(span: tuple[float, float] | None) -> str:
    return "unknown" if span is None else f"{span[0]:g} to {span[1]:g}"


@dataclass(frozen=True, slots=True)
class Schema:
    """The fields of a data set, and which of them is to be predicted.

    Args:
        fields: The fields, in order.
        target: Name of the field to predict; None for data without one.
    """

    fields: tuple[Field, ...]
    target: str | None = None
    _places: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Keep where each field is: a table may have tens of thousands."""
        places = {one.name: place for place, one in enumerate(self.fields)}
        object.__setattr__(self, "_places", places)

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a field called ``name``."""
        return name in self._places

    def __getitem__(self, name: str) -> Field:
        """Return the field called ``name``.

        Raises:
            ConfigError: There is none.
        """
        if (place := self._places.get(name)) is not None:
            return self.fields[place]
        raise ConfigError(
            f"field '{name}' does not exist in the data",
            exists=", ".join(self.names) or "no field at all",
            hint="name one of these fields, or change the transformers before",
        )

    def __str__(self) -> str:
        """Return one line a field; the target is marked with ``->``."""
        return "\n".join(("-> " if f.name == self.target else "   ") + str(f) for f in self.fields)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all fields, in order."""
        return tuple(one.name for one in self.fields)

    @property
    def features(self) -> tuple[Field, ...]:
        """Every field but the target."""
        return tuple(one for one in self.fields if one.name != self.target)

    def with_field(self, field: Field) -> Schema:
        """Return the schema with the field of that name replaced, or added at the end."""
        return self.with_fields([field])

    def with_fields(self, fields: Iterable[Field]) -> Schema:
        """Return the schema with the fields of these names replaced, or added at the end."""
        changed = {one.name: one for one in self.fields} | {one.name: one for one in fields}
        return replace(self, fields=tuple(changed.values()))

    def without(self, *names: str) -> Schema:
        """Return the schema without these fields."""
        gone = frozenset(names)
        return Schema(
            tuple(one for one in self.fields if one.name not in gone),
            None if self.target in gone else self.target,
        )

    def mismatches(self, wanted: Schema) -> list[str]:
        """Return, one line a field, how this schema fails to be what ``wanted`` asks."""
        lines = [f"{n}: missing" for n in wanted.names if n not in self]
        lines += [f"{n}: not expected" for n in self.names if n not in wanted]
        for one in wanted.fields:
            if one.name in self and (how := self[one.name].mismatch(one)):
                lines.append(f"{one.name}: {how}")
        if wanted.target != self.target:
            lines.append(f"target is {self.target}, not {wanted.target}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return the schema as JSON-ready data."""
        return {"fields": [f.to_json() for f in self.fields], "target": self.target}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Schema:
        """Read what `to_json` wrote.

        Raises:
            LookupError, TypeError or AttributeError: It is something else.
        """
        fields = tuple(map(_field, data["fields"]))
        if not isinstance(data["target"], str | None):
            raise TypeError(f"{data['target']!r} is no target")
        return cls(fields, data["target"])


def _field(row: Mapping[str, Any]) -> Field:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    try:
        values["unknown"] = Unknown(values.get("unknown", Unknown.refuse))
    except ValueError:
        raise TypeError(f"{str(row)[:80]} is no field") from None
    read = Field(**values)
    lengths = read.shape if isinstance(read.shape, tuple) else ("no shape",)
    span = (0, 0) if read.range is None else read.range
    named = isinstance(read.name, str) and isinstance(read.dtype, str)
    shaped = all(n is None or type(n) is int for n in lengths)
    bounded = [isinstance(bound, int | float) for bound in span] == [True, True]
    spoken = isinstance(read.unit, str | None) and isinstance(read.categories, tuple | None)
    spoken = spoken and all(isinstance(name, str) for name in read.categories or ())
    if not (named and shaped and bounded and spoken):
        raise TypeError(f"{str(row)[:80]} is no field")
    return read
