"""Another shape for each example."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from math import prod

from aeros_core.data import Batch
from aeros_core.errors import ConfigError, DataError
from aeros_core.messages import State
from aeros_core.schema import Field, Schema
from aeros_transforms.options import known, override
from aeros_transforms.steps.field_binding import Binding, bound

__all__ = ["Reshape"]

_OPTION = "transformer.reshape"


class Reshape:
    """`config.steps.Reshape`: the same values in another shape, row-major.

    Raises:
        ConfigError: The shape has a length below 1 that is not the only -1.
    """

    def __init__(self, *, field: str, shape: Sequence[int]) -> None:
        if any(n < 1 and n != -1 for n in shape) or list(shape).count(-1) > 1:
            raise ConfigError(
                f"{_OPTION}.shape={list(shape)} is not possible",
                exists="lengths of at least 1, one of them may be -1",
            )
        self._name, self._wanted = field, tuple(shape)
        self._shape: tuple[int, ...] = ()
        self._binding: Binding | None = None

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema with the field in the new shape.

        Raises:
            ConfigError: The field does not exist, or its size is another.
        """
        field = self._field(schema)
        sizes = [n for n in field.shape if n is not None]
        left, rest = divmod(prod(sizes), prod(n for n in self._wanted if n != -1))
        if rest or (-1 not in self._wanted and left != 1):
            raise ConfigError(
                f"{_OPTION}.shape={list(self._wanted)} does not hold the {prod(sizes)} values"
                f" of field '{field.name}' of shape {list(field.shape)}"
            )
        self._shape = tuple(left if n == -1 else n for n in self._wanted)
        self._binding = Binding((field.name,), schema.target)
        return schema.with_field(replace(field, shape=self._shape))

    def _field(self, schema: Schema) -> Field:
        if self._name:
            known(f"{_OPTION}.field", self._name, schema.names, "the data")
            return schema[self._name]
        if len(schema.features) == 1:
            return schema.features[0]
        names = [field.name for field in schema.features]
        raise ConfigError(
            f"{_OPTION}.field is not set, and the data have {len(names)} fields to choose from",
            exists=", ".join(names),
            hint=override(f"{_OPTION}.field", names[0]) if names else "",
        )

    def transform(self, batch: Batch) -> Batch:
        """Return the batch with the field in the new shape.

        Raises:
            DataError: The field is missing, or its size is another.
        """
        done = dict(batch)
        for name, column in bound(self._binding, _OPTION).columns(batch):
            if prod(column.shape[1:]) != prod(self._shape):
                raise DataError(
                    f"field '{name}' has {prod(column.shape[1:])} values a row,"
                    f" not {prod(self._shape)}"
                )
            done[name] = column.reshape(len(column), *self._shape)
        return done

    def attributed(self, shares: Batch, batch: Batch) -> Batch:
        """Return the shares in the shape that the field had."""
        names = bound(self._binding, _OPTION).fields
        return {n: c.reshape(batch[n].shape) if n in names else c for n, c in shares.items()}

    def state(self) -> State:
        """Return field and shape."""
        if self._binding is None:
            return {}
        return {**self._binding.state(), "shape": json.dumps(self._shape)}

    def restore(self, state: State) -> None:
        """Take up what `state` returned; nothing else is needed to transform."""
        self._binding = Binding.restore(state) if state else None
        self._shape = tuple(json.loads(str(state["shape"]))) if state else ()
