"""Values from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

import numpy as np

from aeros_core.data import Batch
from aeros_core.disclosure import Disclosure
from aeros_core.errors import ConfigError, DataError
from aeros_core.messages import State
from aeros_core.parameters import Array
from aeros_core.schema import Field, Schema
from aeros_transforms.config.steps import Limits, Per
from aeros_transforms.steps.binding import Binding, bound
from aeros_transforms.steps.fitted import aligned

__all__ = ["MinMax"]

_OPTION = "transformer.min_max"


class MinMax:
    """`config.steps.MinMax`: limits declared by the schema or fitted to every node's.

    A feature whose limits are equal becomes 0. Output is float32.
    """

    discloses = frozenset({Disclosure.extremes})

    def __init__(
        self, *, fields: Sequence[str], limits: Limits | str, per: Per | str, clip: bool
    ) -> None:
        self._names, self._limits = tuple(fields), Limits(limits)
        self._whole, self._clip = Per(per) is Per.field, clip
        self._binding: Binding | None = None
        self._known: dict[str, tuple[Array, Array]] = {}
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
                raise DataError(f"{_OPTION} has no row to be fitted to")
            self._known[name] = low, high

    def transform(self, batch: Batch) -> Batch:
        """Return the batch with the fields scaled.

        Raises:
            ConfigError: The step is not fitted.
            DataError: A field is missing or has another length.
        """
        done = dict(batch)
        for name, column in bound(self._binding, _OPTION).columns(batch):
            if name not in self._known:
                raise ConfigError(f"{_OPTION} is not fitted", hint="fit it, or restore a state")
            low, high = (aligned(name, limit, column) for limit in self._known[name])
            span = np.where(high > low, high - low, np.float32(1))
            scaled = np.subtract(column, low, dtype=np.float32, casting="same_kind")
            np.divide(scaled, span, out=scaled)
            done[name] = np.clip(scaled, 0, 1, out=scaled) if self._clip else scaled
        return done

    def attributed(self, shares: Batch, batch: Batch) -> Batch:  # noqa: ARG002
        """Return the shares as they are: each value is made of one."""
        return shares

    def answer(self, output: Batch) -> Batch:
        """Return predictions of a target that was scaled as it was before that.

        Raises:
            DataError: They have another length than the target.
        """
        binding = bound(self._binding, _OPTION)
        scores, target = binding.answered(output), str(binding.target)
        if scores is None or target not in self._known:
            return output
        low, high = (aligned(target, limit, scores) for limit in self._known[target])
        return {**output, "scores": scores * (high - low) + low}

    def state(self) -> State:
        """Return fields and limits."""
        if self._binding is None:
            return {}
        state = dict(self._binding.state())
        for name, (low, high) in self._known.items():
            state |= {f"{name}.low": low, f"{name}.high": high}
        return state

    def restore(self, state: State) -> None:
        """Take up what `state` returned; nothing else is needed to transform."""
        self._binding = Binding.restore(state) if state else None
        self._known = {
            name: (np.asarray(state[f"{name}.low"]), np.asarray(state[f"{name}.high"]))
            for name in (self._binding.fields if self._binding else ())
            if f"{name}.low" in state
        }
