"""Natural split: the values of a column are the clients."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Dataset, Partition
from aeros_core.errors import ConfigError, DataError
from aeros_core.schema import Field, Schema
from aeros_transforms.options import at_least, known
from aeros_transforms.partitioners import allocation
from aeros_transforms.sources.encode import name_of

__all__ = ["ByGroup"]

_OPTION = "transformer.by_group"


class ByGroup:
    """`config.partitioners.ByGroup`: clients are called by their value, in sorted order.

    The partition is not complete where ``min_examples`` leaves clients out.

    Raises:
        ConfigError: No column is named, or an option is out of its range.
    """

    def __init__(self, *, column: str, min_examples: int) -> None:
        if not column:
            raise ConfigError(
                f"{_OPTION}.column is not set",
                hint=f"{_OPTION}.column=<field whose values are the clients>",
            )
        at_least(f"{_OPTION}.min_examples", min_examples, 1)
        self._column, self._least = column, min_examples

    def partition(self, data: Dataset, rng: np.random.Generator) -> Partition:  # noqa: ARG002
        """Return which rows each client holds; nothing is drawn. See `transformer.Partitioner`."""
        field = self._field(data.schema)
        values = data.columns[field.name]
        values = values if data.rows is None else values[data.rows]
        if values.dtype.kind == "f" and np.isnan(values).any():
            raise DataError(f"field '{field.name}' holds NaN: such rows belong to no client")
        found, owner = np.unique(values, return_inverse=True)
        whole = allocation.partition(owner.reshape(-1), len(found))
        large = whole.sizes >= self._least
        if not large.any():
            most = int(whole.sizes.max(initial=0))
            raise ConfigError(
                f"{_OPTION}.min_examples={self._least} leaves no client",
                exists=f"{len(whole)} values of '{field.name}' with at most {most} examples",
                hint=f"{_OPTION}.min_examples={max(most, 1)}",
            )
        return _kept(whole, large, _names(field, found))

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema without the column.

        Raises:
            ConfigError: There is no such column, or it cannot tell clients apart.
        """
        return schema.without(self._field(schema).name)

    def _field(self, schema: Schema) -> Field:
        known(f"{_OPTION}.column", self._column, schema.names, "the data")
        if self._column == schema.target or schema[self._column].shape:
            target = self._column == schema.target
            what = "is to be predicted" if target else "is an array"
            raise ConfigError(
                f"{_OPTION}.column={self._column} {what}: it cannot name clients",
                hint="" if target else "put by_group before the step that made it one",
            )
        return schema[self._column]


def _kept(whole: Partition, large: Array, names: Sequence[str]) -> Partition:
    offsets = np.zeros(int(large.sum()) + 1, dtype=np.int64)
    np.cumsum(whole.sizes[large], out=offsets[1:])
    rows = whole.rows[np.repeat(large, whole.sizes)]
    return Partition(rows, offsets, tuple(compress(names, large)))


def _names(field: Field, found: Array) -> list[str]:
    """Return the clients' names: the categories of codes, 3 for 3.0, else the text."""
    if field.categories is not None and found.dtype.kind in "iu":
        return [field.categories[code] for code in found.tolist()]
    return [name_of(value) for value in found.tolist()]
