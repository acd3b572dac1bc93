"""Mean 0 and standard deviation 1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from aeros_core.data import Batch
from aeros_core.disclosure import Disclosure
from aeros_core.errors import ConfigError, DataError
from aeros_core.messages import State
from aeros_core.parameters import Array
from aeros_core.schema import Field, Schema
from aeros_transforms.config.steps import Per
from aeros_transforms.steps.binding import Binding, bound
from aeros_transforms.steps.fitted import aligned
from aeros_transforms.steps.moments import Moments

__all__ = ["Standardise"]

_OPTION = "transformer.standardise"


class Standardise:
    """`config.steps.Standardise`: fitted to counts, means and squares of every node.

    A feature whose values are all equal becomes 0. Output is float32.
    """

    discloses = frozenset({Disclosure.counts, Disclosure.sums})

    def __init__(self, *, fields: Sequence[str], per: Per | str) -> None:
        self._names, self._whole = tuple(fields), Per(per) is Per.field
        self._binding: Binding | None = None
        self._fitted: dict[str, tuple[Array, Array]] = {}

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema with the fields as float32, their range and unit unknown."""
        self._binding = Binding.of(_OPTION, schema, self._names)
        return schema.with_fields(
            Field(name, "float32", schema[name].shape) for name in self._binding.fields
        )

    def summarise(self, batch: Batch) -> State:
        """Return count, means and squared deviations of each field."""
        sums: dict[str, Array | int] = {}
        for name, column in bound(self._binding, _OPTION).columns(batch):
            part = Moments.of(column, whole=self._whole)
            sums |= {f"{name}.count": part.count, f"{name}.mean": part.mean}
            sums[f"{name}.squares"] = part.squares
        return sums

    def fit(self, summaries: Iterable[State]) -> None:
        """Fit to the moments of all nodes together.

        Raises:
            DataError: No node has any row.
        """
        known = list(summaries)
        for name in bound(self._binding, _OPTION).fields:
            whole = Moments.total(_moments(name, part) for part in known)
            if not whole.count:
                raise DataError(f"{_OPTION} has no row to be fitted to")
            self._fitted[name] = whole.mean, whole.deviation

    def transform(self, batch: Batch) -> Batch:
        """Return the batch with the fields standardised.

        Raises:
            ConfigError: The step is not fitted.
            DataError: A field is missing or has another length.
        """
        done = dict(batch)
        for name, column in bound(self._binding, _OPTION).columns(batch):
            if name not in self._fitted:
                raise ConfigError(f"{_OPTION} is not fitted", hint="fit it, or restore a state")
            mean, deviation = (aligned(name, v, column) for v in self._fitted[name])
            scaled = np.subtract(column, mean, dtype=np.float32, casting="same_kind")
            done[name] = np.divide(scaled, deviation, out=scaled)
        return done

    def attributed(self, shares: Batch, batch: Batch) -> Batch:  # noqa: ARG002
        """Return the shares as they are: each value is made of one."""
        return shares

    def answer(self, output: Batch) -> Batch:
        """Return predictions of a target that was standardised as it was before that.

        Raises:
            DataError: They have another length than the target.
        """
        binding = bound(self._binding, _OPTION)
        scores, target = binding.answered(output), str(binding.target)
        if scores is None or target not in self._fitted:
            return output
        mean, deviation = (aligned(target, v, scores) for v in self._fitted[target])
        return {**output, "scores": scores * deviation + mean}

    def state(self) -> State:
        """Return fields, means and deviations."""
        if self._binding is None:
            return {}
        state = dict(self._binding.state())
        for name, (mean, deviation) in self._fitted.items():
            state |= {f"{name}.mean": mean, f"{name}.deviation": deviation}
        return state

    def restore(self, state: State) -> None:
        """Take up what `state` returned; nothing else is needed to transform."""
        self._binding = Binding.restore(state) if state else None
        self._fitted = {
            name: (np.asarray(state[f"{name}.mean"]), np.asarray(state[f"{name}.deviation"]))
            for name in (self._binding.fields if self._binding else ())
            if f"{name}.mean" in state
        }


def _moments(name: str, part: State) -> Moments:
    mean, squares = np.asarray(part[f"{name}.mean"]), np.asarray(part[f"{name}.squares"])
    return Moments(int(part[f"{name}.count"]), mean, squares)
