"""Data as trainers see it: a table of arrays, and which rows of it belong to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from aeros_core.arrays import Array
from aeros_core.errors import DataError
from aeros_core.schema import Schema

__all__ = ["Batch", "Dataset", "Partition"]

Batch: TypeAlias = Mapping[str, Array]
"""Named arrays with one common leading dimension: the examples.

Text is an object array of `str`, each as long as it is, or an array of fixed width.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Rows of a table: arrays shared by all its data sets, and the rows of this one.

    A client's data is the whole table with another ``rows``: nothing is copied, so
    a population of a million costs one array of row numbers, and an engine may keep
    ``columns`` resident on a device and send indices alone.

    Args:
        schema: What each column holds.
        columns: ``{field name: array}``, each of the same length.
        rows: Row numbers, int64, in order; None: every row.
    """

    schema: Schema
    columns: Batch
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Number of examples."""
        if self.rows is not None:
            return len(self.rows)
        return next((len(column) for column in self.columns.values()), 0)

    def take(self, rows: NDArray[np.int64]) -> Dataset:
        """Return the data set of these examples, counted within this one."""
        return Dataset(self.schema, self.columns, rows if self.rows is None else self.rows[rows])

    def batch(self) -> Batch:
        """Return the examples as arrays of their own length."""
        if self.rows is None:
            return self.columns
        return {name: column[self.rows] for name, column in self.columns.items()}

    def check(self) -> Dataset:
        """Return the data set itself after looking for NaN and infinity.

        Raises:
            DataError: A floating-point field holds a value that is not finite.
        """
        for name, column in self.columns.items():
            if column.dtype.kind != "f" or np.isfinite(column).all():
                continue
            bad = np.asarray(~np.isfinite(column.reshape(len(column), -1)).all(axis=1))
            raise DataError(
                f"field '{name}' holds NaN or infinity in {int(bad.sum())} of {len(bad)} rows,"
                f" first in row {int(bad.argmax())}",
                hint="clean the file, or drop such rows where the data is loaded"
                " (transformer.<source>.drop_missing=true)",
            )
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """Which rows each client holds: one array of rows, cut at offsets.

    Args:
        rows: Row numbers of all clients one behind the other, int64.
        offsets: int64 of length clients + 1; client ``i`` holds
            ``rows[offsets[i]:offsets[i + 1]]``.
        names: The clients' own names, for data that is partitioned by nature; the
            others are called ``client-0`` and so on.
    """

    rows: NDArray[np.int64]
    offsets: NDArray[np.int64]
    names: tuple[str, ...] | None = field(default=None)
    _places: Mapping[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Note where each name stands."""
        places = {name: place for place, name in enumerate(self.names or ())}
        object.__setattr__(self, "_places", places)

    def __len__(self) -> int:
        """Number of clients."""
        return len(self.offsets) - 1

    def __getitem__(self, client: int) -> NDArray[np.int64]:
        """Return the rows of client number ``client``."""
        return self.rows[self.offsets[client] : self.offsets[client + 1]]

    def name(self, client: int) -> str:
        """Return the node id of client number ``client``."""
        return f"client-{client}" if self.names is None else self.names[client]

    def number(self, name: str) -> int:
        """Return the number of the client with this node id.

        Raises:
            KeyError: There is no such client.
        """
        if self.names is not None:
            return self._places[name]
        number = name.removeprefix("client-")
        if not number.isdecimal() or int(number) >= len(self):
            raise KeyError(name)
        return int(number)

    def examples(self, name: str) -> int:
        """Return the number of examples of the client with this node id."""
        number = self.number(name)
        return int(self.offsets[number + 1] - self.offsets[number])

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of examples of each client."""
        return np.diff(self.offsets)
