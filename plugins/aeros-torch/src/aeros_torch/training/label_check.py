"""Whether codes are those of classes; each column is looked at once."""

from __future__ import annotations

import weakref

from aeros_core.arrays import Array
from aeros_core.errors import DataError

__all__ = ["Labels"]


class Labels:
    """The labels of tables.

    Args:
        target: Name of the field.
        classes: Number of classes; None for numbers, which are not looked at.
    """

    def __init__(self, target: str, classes: int | None):
        self._target, self._classes = target, classes
        self._seen: dict[int, tuple[int, int]] = {}

    def check(self, column: Array) -> None:
        """Refuse a column with a label that is the code of no class.

        Raises:
            DataError: There is one.
        """
        if self._classes is None or not column.size:
            return
        if id(column) not in self._seen:
            self._seen[id(column)] = int(column.min()), int(column.max())
            weakref.finalize(column, self._seen.pop, id(column), None).atexit = False
        low, high = self._seen[id(column)]
        if low < 0 or high >= self._classes:
            raise DataError(
                f"field '{self._target}' holds codes from {low} to {high}",
                hint=f"codes of this model are 0 to {self._classes - 1}",
            )
