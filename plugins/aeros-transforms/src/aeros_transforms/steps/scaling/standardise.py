"""Mean 0 and standard deviation 1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.messages import State
from aeros_core.roles.disclosure import Disclosure
from aeros_core.schema import Field, Schema
from aeros_transforms.config.steps import Per
from aeros_transforms.steps.field_binding import Binding, bound
from aeros_transforms.steps.scaling.affine import Scaling
from aeros_transforms.steps.scaling.moments import Moments

__all__ = ["Standardise"]

_OPTION = "transformer.standardise"


class Standardise(Scaling):
    """`config.steps.Standardise`: fitted to counts, means and squares of every node.

    A feature whose values are all equal becomes 0. Output is float32.
    """

    discloses = frozenset({Disclosure.counts, Disclosure.sums})

    def __init__(self, *, fields: Sequence[str], per: Per | str) -> None:
        super().__init__(_OPTION, ("mean", "deviation"), fields=fields, per=per)

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
                raise self._no_rows()
            self._known[name] = whole.mean, whole.deviation

    def _shift_and_scale(self, first: Array, second: Array) -> tuple[Array, Array]:
        return first, second

    def _restored(self, scores: Array, first: Array, second: Array) -> Array:
        restored: Array = scores * second + first
        return restored


def _moments(name: str, part: State) -> Moments:
    mean, squares = np.asarray(part[f"{name}.mean"]), np.asarray(part[f"{name}.squares"])
    return Moments(int(part[f"{name}.count"]), mean, squares)
