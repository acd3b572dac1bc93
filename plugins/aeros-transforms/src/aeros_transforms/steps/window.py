"""Windows over consecutive rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.errors import DataError
from aeros_core.messages import State
from aeros_core.schema import Field, Schema
from aeros_transforms.options import at_least, known
from aeros_transforms.steps.field_binding import Binding, bound

__all__ = ["Window"]

_OPTION = "transformer.window"


class Window:
    """`config.steps.Window`: each feature becomes ``(size, *shape)``.

    The target and the group are those of a window's last row. Rows of a group that do not
    follow one another are taken as separate stretches, and no window reaches over a gap.

    Raises:
        ConfigError: An option is out of its range.
    """

    def __init__(self, *, size: int, stride: int, group: str | None) -> None:
        at_least(f"{_OPTION}.size", size, 1)
        at_least(f"{_OPTION}.stride", stride, 1)
        self._size, self._stride, self._group = size, stride, group
        self._binding: Binding | None = None

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema with the features as windows.

        Raises:
            ConfigError: The group does not exist.
        """
        if self._group is not None:
            known(f"{_OPTION}.group", self._group, schema.names, "the data")
        fields = tuple(self._windowed(f, schema.target) for f in schema.fields)
        self._binding = Binding(schema.names, schema.target)
        return Schema(fields, schema.target)

    def _windowed(self, field: Field, target: str | None) -> Field:
        if field.name in (target, self._group):
            return field
        return replace(field, shape=(self._size, *field.shape))

    def transform(self, batch: Batch) -> Batch:
        """Return the windows, in the order of their first rows.

        Raises:
            DataError: A field is missing, or no stretch is as long as a window.
        """
        binding = bound(self._binding, _OPTION)
        columns = dict(binding.columns(batch))
        rows = len(next(iter(columns.values())))
        starts = self._starts(None if self._group is None else columns[self._group], rows)
        if not len(starts):
            where = "" if self._group is None else f" of one '{self._group}'"
            raise DataError(
                f"{_OPTION}.size={self._size} is longer than any stretch of rows{where}",
                exists=f"{rows} rows",
            )
        last, steps = starts + self._size - 1, np.arange(self._size)
        return {
            name: column[last if name in (binding.target, self._group) else starts[:, None] + steps]
            for name, column in columns.items()
        }

    def _starts(self, groups: Array | None, rows: int) -> NDArray[np.int64]:
        """Return the first row of each window."""
        cuts = np.empty(0, dtype=np.int64)
        if groups is not None:
            cuts = np.flatnonzero(groups[1:] != groups[:-1]) + 1
        edges = np.concatenate([[0], cuts, [rows]])
        counts = np.maximum((np.diff(edges) - self._size) // self._stride + 1, 0)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.asarray(np.repeat(edges[:-1], counts) + within * self._stride)

    def state(self) -> State:
        """Return the fields."""
        return {} if self._binding is None else self._binding.state()

    def restore(self, state: State) -> None:
        """Take up what `state` returned; nothing else is needed to transform."""
        self._binding = Binding.restore(state) if state else None
