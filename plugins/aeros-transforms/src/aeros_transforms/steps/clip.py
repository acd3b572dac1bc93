"""Values cut at limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aeros_core.data import Batch
from aeros_core.errors import ConfigError
from aeros_core.messages import State
from aeros_core.schema import Field, Schema
from aeros_transforms.steps.field_binding import Binding, bound

__all__ = ["Clip"]

_OPTION = "transformer.clip"


class Clip:
    """`config.steps.Clip`: NaN stays NaN. Output is float32.

    Raises:
        ConfigError: There is no limit, or the lower one is above the higher.
    """

    def __init__(self, *, low: float | None, high: float | None, fields: Sequence[str]) -> None:
        if low is None and high is None:
            raise ConfigError(f"{_OPTION} has no limit", hint=f"{_OPTION}.high=<number>")
        self._low = -np.inf if low is None else float(np.float32(low))
        self._high = np.inf if high is None else float(np.float32(high))
        if not self._low <= self._high:
            raise ConfigError(f"{_OPTION}.low={low} is above {_OPTION}.high={high}")
        self._names = tuple(fields)
        self._binding: Binding | None = None

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema with the fields' ranges cut."""
        self._binding = Binding.of(_OPTION, schema, self._names)
        return schema.with_fields(self._cut(schema[name]) for name in self._binding.fields)

    def _cut(self, field: Field) -> Field:
        span = field.range or (-np.inf, np.inf)
        low, high = (min(max(end, self._low), self._high) for end in span)
        finite = np.isfinite([low, high]).all()
        return replace(field, dtype="float32", range=(low, high) if finite else None)

    def transform(self, batch: Batch) -> Batch:
        """Return the batch with the fields cut.

        Raises:
            DataError: A field is missing.
        """
        done = dict(batch)
        for name, column in bound(self._binding, _OPTION).columns(batch):
            done[name] = np.clip(column.astype(np.float32), self._low, self._high)
        return done

    def attributed(self, shares: Batch, batch: Batch) -> Batch:  # noqa: ARG002
        """Return the shares as they are: each value is made of one."""
        return shares

    def state(self) -> State:
        """Return the fields."""
        return {} if self._binding is None else self._binding.state()

    def restore(self, state: State) -> None:
        """Take up what `state` returned; nothing else is needed to transform."""
        self._binding = Binding.restore(state) if state else None
