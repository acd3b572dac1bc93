"""Columns of tables as kernels read them, kept for as long as the tables live."""

from __future__ import annotations

import weakref

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Dataset
from aeros_torch.training.label_check import Labels

__all__ = ["Columns", "writable"]


class Columns:
    """The features and targets of tables, each made once.

    A column that is contiguous and of the right dtype is taken as it is.

    Args:
        feature: Name of the field of features.
        target: Name of the field to predict.
        classes: Number of classes; None for values.
    """

    def __init__(self, feature: str, target: str, classes: int | None):
        self._feature, self._target, self._classes = feature, target, classes
        self._labels = Labels(target, classes)
        self._seen: dict[int, Array | None] = {}

    def __len__(self) -> int:
        """Number of columns that were looked at and still live."""
        return len(self._seen)

    def of(self, data: Dataset) -> tuple[Array, Array, Array]:
        """Return features (rows, inputs), labels (rows,) and values (rows, outputs).

        Raises:
            DataError: A label is the code of no class.
        """
        features = _rows(self._cast(data.columns[self._feature], np.float32))
        targets = data.columns[self._target]
        if self._classes is None:
            return features, _NO_LABELS, _rows(self._cast(targets, np.float32))
        self._labels.check(targets)
        return features, writable(self._cast(targets, np.int64)), _NO_VALUES

    def _cast(self, column: Array, dtype: type) -> Array:
        if id(column) not in self._seen:
            made: Array = np.ascontiguousarray(column, dtype)
            # Only a copy is kept: a view would keep the column itself alive.
            self._seen[id(column)] = None if np.may_share_memory(made, column) else made
            weakref.finalize(column, self._seen.pop, id(column), None).atexit = False
        kept = self._seen[id(column)]
        return np.ascontiguousarray(column) if kept is None else kept


_NO_LABELS, _NO_VALUES = np.zeros(0, np.int64), np.zeros((0, 0), np.float32)


def _rows(column: Array) -> Array:
    return writable(column.reshape(len(column), -1))


class _Alias:
    def __init__(self, array: Array):
        self.array = array
        self.__array_interface__ = {
            **array.__array_interface__,
            "data": (array.ctypes.data, False),
        }


def writable(array: Array) -> Array:
    """Return the same memory, called writable.

    Kernels are compiled for types, and numba tells read-only arrays from others: without
    this each mixture of them would be compiled anew. Kernels only read what they get so.
    """
    return array if array.flags.writeable else np.asarray(_Alias(array))
