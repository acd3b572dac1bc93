"""A column of a batch, made of the tensor that a request brings for a field."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aeros_core.parameters import Array
from aeros_core.schema import Field
from aeros_serving.tensors import datatype_of

__all__ = ["Column"]

_SHOWN = 10
"""Values and categories that a message names."""

_LONG = 40
"""Signs of a value that a message shows."""


class Column:
    """Makes columns for one field, and says what is wrong with tensors that make none.

    Args:
        field: What the raw data have.

    Attributes:
        strange: Values that were refused because they are none of the categories.
    """

    def __init__(self, field: Field) -> None:
        self.field = field
        self.strange = 0
        self._known = frozenset(field.categories or ())
        self._dtype = None if field.dtype in ("*", "str") else np.dtype(field.dtype)

    @property
    def datatype(self) -> str:
        """The field's datatype, as the protocol's metadata say it."""
        if self.field.dtype == "str":
            return "BYTES"
        return "FP32" if self._dtype is None else datatype_of(self._dtype)

    def fits(self, array: Array) -> bool:
        """Tell whether a tensor has rows of the field's shape."""
        return array.ndim > 0 and self.field.fits(array.shape[1:])

    def of(self, array: Array, datatype: str) -> tuple[Sequence[str], Array]:
        """Return what is wrong with a tensor, if anything, and the column it makes.

        Args:
            array: The tensor, with the rows first.
            datatype: What the request calls it.
        """
        text = array.dtype.kind == "O"
        dtype = array.dtype if self._dtype is None else self._dtype
        same = array.dtype == dtype
        typed = text == (self.field.dtype == "str") and (same or np.can_cast(array.dtype, dtype))
        if not (typed and self.fits(array)):
            return self._misfit(array, datatype, typed), array
        if text:
            return self._texts(array)
        column = array if same else array.astype(dtype)
        return self._values(column), column

    def _misfit(self, array: Array, datatype: str, typed: bool) -> list[str]:
        wrong = []
        if not self.fits(array):
            lengths = ["any" if n is None else str(n) for n in self.field.shape]
            wrong.append(f"shape {list(array.shape)}, not [{', '.join(['rows', *lengths])}]")
        return wrong if typed else [*wrong, f"datatype {datatype}, not {self.datatype}"]

    def _values(self, column: Array) -> Sequence[str]:
        kind, names = column.dtype.kind, self.field.categories
        if kind == "f" and not _finite(column):
            bad = ~np.isfinite(column.reshape(len(column), -1)).all(axis=1)
            return [f"NaN or infinity in row {int(bad.argmax())}"]
        if kind in "iu" and names is not None and column.size:
            low, high, most = int(column.min()), int(column.max()), len(names) - 1
            if low < 0 or high > most:
                self.strange += int(((column < 0) | (column > most)).sum())
                return [f"codes from {low} to {high}, not 0 to {most}"]
        return ()

    def _texts(self, array: Array) -> tuple[Sequence[str], Array]:
        try:
            texts = [value.decode() for value in array.ravel()]
        except UnicodeDecodeError:
            return ["not UTF-8"], array
        column = np.array(texts, dtype=np.str_).reshape(array.shape)
        if self._known and not self._known.issuperset(texts):
            return [self._none_of(texts, len(column))], column
        return (), column

    def _none_of(self, texts: Sequence[str], rows: int) -> str:
        """Say which values are none of the categories, each where it comes first."""
        strange = [place for place, text in enumerate(texts) if text not in self._known]
        self.strange += len(strange)
        first: dict[str, int] = {}
        for place in strange:
            first.setdefault(texts[place], place * rows // len(texts))
        told = [f"'{text[:_LONG]}' in row {row}" for text, row in first.items()]
        verb = "is" if len(told) == 1 else "are"
        return f"{_some(told)} {verb} none of {_some(self.field.categories or ())}"


def _some(words: Sequence[str]) -> str:
    """Return words in a row, not more of them than a message can hold."""
    more = f", … ({len(words)} in all)" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more


def _finite(column: Array) -> bool:
    """Tell whether all is finite; one sum says it of nearly every column."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(column.sum())) or bool(np.isfinite(column).all())
