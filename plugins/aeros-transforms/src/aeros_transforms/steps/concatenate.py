"""Numbers and vectors in one vector field."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from aeros_core.data import Batch
from aeros_core.errors import ConfigError
from aeros_core.messages import State
from aeros_core.schema import Field, Schema
from aeros_transforms.options import all_known
from aeros_transforms.steps.field_binding import Binding, bound, plain

__all__ = ["Stack"]

_OPTION = "transformer.stack"


class Stack:
    """`config.steps.Stack`: scalars and vectors, in order, as one float32 vector."""

    def __init__(self, *, fields: Sequence[str], name: str) -> None:
        self._fields, self._name = tuple(dict.fromkeys(fields)), name
        self._binding: Binding | None = None

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema with one vector in the place of the first field stacked.

        Its range and unit are known where all fields have the same.

        Raises:
            ConfigError: A field does not exist, holds text, categories or an array, or has
                the new field's name without being stacked.
        """
        all_known(f"{_OPTION}.fields", self._fields, schema.names, "the data")
        names = self._fields or tuple(field.name for field in schema.features)
        stacked = [schema[name] for name in names]
        stacked_names = frozenset(names)
        for field in stacked:
            _refuse(field, schema.target)
        others = schema.without(*names)
        if self._name in others or not stacked:
            why = "is a field of its own" if stacked else "would be empty"
            raise ConfigError(f"{_OPTION}.name={self._name} {why}", exists=", ".join(schema.names))
        self._binding = Binding(names, schema.target)
        place = next(at for at, name in enumerate(schema.names) if name in stacked_names)
        fields = (*others.fields[:place], self._vector(stacked), *others.fields[place:])
        return Schema(fields, others.target)

    def _vector(self, stacked: Sequence[Field]) -> Field:
        width = sum(n if (n := field.shape[0] if field.shape else 1) else 0 for field in stacked)
        spans, units = {f.range for f in stacked}, {f.unit for f in stacked}
        span = spans.pop() if len(spans) == 1 else None
        unit = units.pop() if len(units) == 1 else None
        return Field(self._name, "float32", (width,), span, unit)

    def transform(self, batch: Batch) -> Batch:
        """Return the batch with one vector instead of the fields.

        Raises:
            DataError: A field is missing.
        """
        columns = dict(bound(self._binding, _OPTION).columns(batch))
        parts = [column.reshape(len(column), prod(column.shape[1:])) for column in columns.values()]
        vector = np.concatenate(parts, axis=1, dtype=np.float32, casting="same_kind")
        return {self._name: vector} | {n: c for n, c in batch.items() if n not in columns}

    def attributed(self, shares: Batch, batch: Batch) -> Batch:
        """Return the shares of the fields: each its part of the vector's."""
        columns = dict(bound(self._binding, _OPTION).columns(batch))
        ends = np.cumsum([prod(column.shape[1:]) for column in columns.values()])
        parts = np.split(shares[self._name], ends[:-1], axis=1)
        own = {n: p.reshape(c.shape) for (n, c), p in zip(columns.items(), parts, strict=True)}
        return own | {name: column for name, column in shares.items() if name != self._name}

    def state(self) -> State:
        """Return the fields."""
        return {} if self._binding is None else self._binding.state()

    def restore(self, state: State) -> None:
        """Take up what `state` returned; nothing else is needed to transform."""
        self._binding = Binding.restore(state) if state else None


def _refuse(field: Field, target: str | None) -> None:
    if field.name == target:
        raise ConfigError(f"{_OPTION}.fields={target}: the field is to be predicted")
    if not plain(field):
        kind = "text" if field.dtype == "str" else "categories"
        raise ConfigError(
            f"{_OPTION} stacks numbers, and field '{field.name}' holds {kind}",
            hint=f"put one_hot before it, drop '{field.name}', or cut the data by_group with it",
        )
    if len(field.shape) > 1:
        raise ConfigError(
            f"{_OPTION} stacks numbers and vectors, and field '{field.name}' is an array of"
            f" shape {list(field.shape)}",
            hint=f"put flatten before it: transformer.flatten.field={field.name}",
        )
