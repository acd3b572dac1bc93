"""A column of a batch, made of the tensor that a request brings for a field."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aeros_core.arrays import Array
from aeros_core.fields.categories import code_of_unknown
from aeros_core.schema import Field, Unknown
from aeros_serving.protocol.interpreter import release_interpreter
from aeros_serving.protocol.numbers import exactly, finite, holds
from aeros_serving.protocol.tensors import datatype_of

__all__ = ["Column"]

_SHOWN = 10
"""Values and categories that a message names."""

_PIECE = 16384
"""Texts that are looked at between two turns of other threads."""

_LONG = 40
"""Signs of a value that a message shows."""


class Column:
    """Makes columns for one field, and says what is wrong with tensors that make none.

    Texts become an object array of `str`: one long text among many short ones costs what it is
    long, where an array of fixed width would take its length for each of them.

    Args:
        field: What the raw data have.

    Attributes:
        strange: Values that were none of the categories.
    """

    def __init__(self, field: Field) -> None:
        self.field = field
        self.strange = 0
        self._known = {name.encode(): name for name in field.categories or ()}
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
            array: The tensor, with the rows first; a column of single values may be of shape
                [rows, 1] for a field of shape () and the other way round, as clients of data
                frames send either.
            datatype: What the request calls it.
        """
        if array.ndim != len(self.field.shape) + 1:
            array = self._reshaped(array)
        text = array.dtype.kind == "O"
        dtype = array.dtype if self._dtype is None else self._dtype
        typed = text == (self.field.dtype == "str") and (text or holds(dtype, array.dtype))
        if not (typed and self.fits(array)):
            return self._misfit(array, datatype, typed), array
        if text:
            return self._texts(array)
        if why := self._not_finite(array):
            return [why], array
        column, bad = exactly(array, dtype)
        if bad is not None:
            told = f"{array.ravel()[bad]} in row {_row(array, bad)} does not fit {self.datatype}"
            return [f"{told} exactly, and datatype {datatype} was sent"], array
        return self._codes(column)

    def _reshaped(self, array: Array) -> Array:
        """Return a column of single values in the field's shape: () or (1,)."""
        if self.field.shape == () and array.shape[1:] == (1,):
            return array.reshape(len(array))
        if self.field.shape == (1,) and array.ndim == 1:
            return array.reshape(len(array), 1)
        return array

    def _misfit(self, array: Array, datatype: str, typed: bool) -> list[str]:
        wrong = []
        if not self.fits(array):
            lengths = ["any" if n is None else str(n) for n in self.field.shape]
            wrong.append(f"shape {list(array.shape)}, not [{', '.join(['rows', *lengths])}]")
        return wrong if typed else [*wrong, f"datatype {datatype}, not {self.datatype}"]

    def _not_finite(self, array: Array) -> str:
        if array.dtype.kind != "f" or finite(array):
            return ""
        return f"NaN or infinity in row {_row(array, int((~np.isfinite(array)).argmax()))}"

    def _codes(self, column: Array) -> tuple[Sequence[str], Array]:
        """Return numbers, after a look at them where they are codes of categories."""
        names = self.field.categories
        if names is None or column.dtype.kind not in "iu" or not column.size:
            return (), column
        low, high, most = int(column.min()), int(column.max()), len(names) - 1
        if low >= 0 and high <= most:
            return (), column
        strange = (column < 0) | (column > most)
        self.strange += int(strange.sum())
        if self.field.unknown is Unknown.refuse:
            return [f"codes from {low} to {high}, not 0 to {most}"], column
        wide = column.astype(np.int64) if column.dtype.kind == "u" else column.copy()
        wide[strange] = code_of_unknown(self.field)
        return (), wide

    def _texts(self, array: Array) -> tuple[Sequence[str], Array]:
        """Return texts in pieces, between which other threads may run."""
        flat, known = array.ravel(), self._known.get
        column = np.empty(flat.size, dtype=object)
        strange: list[int] = []
        for start in range(0, flat.size, _PIECE):
            if start:
                release_interpreter()
            values = flat[start : start + _PIECE].tolist()
            found = [known(value) for value in values]
            if None in found:
                places = [place for place, text in enumerate(found) if text is None]
                try:
                    for place in places:
                        found[place] = values[place].decode()
                except UnicodeDecodeError:
                    return [f"not UTF-8 in row {_row(array, start + place)}"], array
                strange += [start + place for place in places]
            column[start : start + _PIECE] = found
        column = column.reshape(array.shape)
        return self._unknown(column, strange) if self._known and strange else ((), column)

    def _unknown(self, column: Array, strange: Sequence[int]) -> tuple[Sequence[str], Array]:
        """Return texts some of which are none of the categories, or which they are."""
        self.strange += len(strange)
        if self.field.unknown is not Unknown.refuse:
            return (), column
        texts, first = column.ravel(), dict[str, int]()
        for place in strange:
            first.setdefault(texts[place], _row(column, place))
        told = [f"'{text[:_LONG]}' in row {row}" for text, row in first.items()]
        verb = "is" if len(told) == 1 else "are"
        return [f"{_some(told)} {verb} none of {_some(self.field.categories or ())}"], column


def _row(array: Array, place: int) -> int:
    """Return the row of an element, counted row-major."""
    return place * len(array) // array.size


def _some(words: Sequence[str]) -> str:
    """Return words in a row, not more of them than a message can hold."""
    more = f", … ({len(words)} in all)" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more
