"""Values from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.errors import ConfigError
from aeros_core.messages import State
from aeros_core.roles.disclosure import Disclosure
from aeros_core.schema import Field, Schema
from aeros_transforms.config.steps import Limits, Per
from aeros_transforms.steps.field_binding import Binding, bound
from aeros_transforms.steps.scaling.affine import Scaling

__all__ = ["MinMax"]

_OPTION = "transformer.min_max"


class MinMax(Scaling):
    """`config.steps.MinMax`: limits declared by the schema or fitted to every node's.

    A feature whose limits are equal becomes 0. Output is float32.
    """

    discloses = frozenset({Disclosure.extremes})

    def __init__(
        self, *, fields: Sequence[str], limits: Limits | str, per: Per | str, clip: bool
    ) -> None:
        super().__init__(_OPTION, ("low", "high"), fields=fields, per=per)
        self._limits, self._clip = Limits(limits), clip
        self._open: Mapping[str, None] = {}

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema with the fields as float32, 0 to 1 where they are clipped."""
        self._binding = Binding.of(_OPTION, schema, self._names)
        fields = [schema[name] for name in self._binding.fields]
        self._open = {f.name: None for f in fields if not self._declared(f)}
        for field in fields:
            if field.name not in self._open and field.range is not None:
                low, high = field.range
                self._known[field.name] = np.array([low]), np.array([high])
        span = (0.0, 1.0) if self._clip else None
        return schema.with_fields(Field(f.name, "float32", f.shape, span) for f in fields)

    def _declared(self, field: Field) -> bool:
        if self._limits is Limits.declared and field.range is None:
            raise ConfigError(
                f"{_OPTION}.limits=declared: the range of field '{field.name}' is not known",
                hint=f"{_OPTION}.limits=fitted",
            )
        return self._limits is not Limits.fitted and field.range is not None

    def summarise(self, batch: Batch) -> State:
        """Return the limits of each field that is to be fitted."""
        sums: dict[str, Array] = {}
        for name, column in bound(self._binding, _OPTION).columns(batch):
            if name in self._open:
                flat = column.reshape(len(column), prod(column.shape[1:]))
                flat = flat.reshape(-1, 1) if self._whole else flat
                empty = np.full(flat.shape[1], np.inf)
                sums[f"{name}.low"] = flat.min(axis=0).astype(float) if len(flat) else empty
                sums[f"{name}.high"] = flat.max(axis=0).astype(float) if len(flat) else -empty
        return sums

    def fit(self, summaries: Iterable[State]) -> None:
        """Fit to the limits of all nodes together.

        Raises:
            DataError: No node has any row.
        """
        parts = list(summaries)
        for name in self._open:
            lows = [np.asarray(part[f"{name}.low"]) for part in parts]
            highs = [np.asarray(part[f"{name}.high"]) for part in parts]
            low, high = np.min(lows or [np.ones(1)], 0), np.max(highs or [np.zeros(1)], 0)
            if (low > high).any():
                raise self._no_rows()
            self._known[name] = low, high

    def _shift_and_scale(self, first: Array, second: Array) -> tuple[Array, Array]:
        return first, np.where(second > first, second - first, np.float32(1))

    def _finished(self, scaled: Array) -> Array:
        return np.clip(scaled, 0, 1, out=scaled) if self._clip else scaled

    def _restored(self, scores: Array, first: Array, second: Array) -> Array:
        restored: Array = scores * (second - first) + first
        return restored
