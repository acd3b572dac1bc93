"""Names of categories, and the codes that they have in a field.

A value's name is its text: ``3`` for 3 and for 3.0, ``True`` for a boolean. Columns of the same
meaning may be stored in different dtypes, so a name that is not among a field's categories is
looked up once more by what it means: 1, 1.0, "1" and true are one value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeros_core.arrays import Array
from aeros_core.schema import OTHER, Field, Unknown

__all__ = [
    "code_of_unknown",
    "codes_of",
    "factored",
    "lookup",
    "name_of",
    "ordered",
    "recoded",
    "with_other",
]

_BOOLEANS = {"true": "1", "false": "0"}
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,15})(\.\d{0,15})?")
"""Numbers as they are written; not 01, which is a text of its own."""


def name_of(value: Any) -> str:
    """Return the name of a value: its text, and 3 for 3.0 too."""
    if isinstance(value, np.generic):
        value = value.item()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def meaning_of(name: str) -> str:
    """Return what a name means whatever dtype it was stored in: ``1`` for 1.0 and for true."""
    known = _BOOLEANS.get(name.strip().lower())
    if known is not None:
        return known
    return name_of(float(name)) if _NUMBER.fullmatch(name) else name


def lookup(names: Iterable[str], categories: Sequence[str]) -> NDArray[np.int64]:
    """Return the code of each name among categories, -1 for one that is not among them.

    Args:
        names: Distinct names.
        categories: Names of the categories, ``categories[code]``.
    """
    exact = {name: code for code, name in reversed(list(enumerate(categories)))}
    by_meaning: dict[str, int] = {}
    for code, name in enumerate(categories):
        by_meaning.setdefault(meaning_of(name), code)
    found = [exact.get(name, by_meaning.get(meaning_of(name), -1)) for name in names]
    return np.array(found, dtype=np.int64)


def code_of_unknown(field: Field) -> int:
    """Return the code of a value that is none of the categories, where the field takes such.

    Returns:
        -1 for no category, or the code of ``other``.
    """
    if field.unknown is Unknown.other and field.categories and OTHER in field.categories:
        return field.categories.index(OTHER)
    return -1


def factored(texts: Array) -> tuple[list[str], NDArray[np.int64]]:
    """Return the distinct texts of an array, and which of them each element is.

    Memory grows with the texts that there are, not with the longest of them.
    """
    found: dict[str, int] = {}
    values = np.asarray(texts).ravel().tolist()
    each = (found.setdefault(str(value), len(found)) for value in values)
    codes = np.fromiter(each, np.int64, len(values)).reshape(np.shape(texts))
    return list(found), codes


def codes_of(field: Field, texts: Array) -> tuple[NDArray[np.int64], list[str]]:
    """Return the code of each text in a field, and the distinct texts that it does not know.

    Args:
        field: Has categories.
        texts: Names, of any shape.

    Returns:
        Codes in the shape of ``texts``, unknown ones as `code_of_unknown` says.
    """
    names, codes = factored(texts)
    return recoded(field, names, codes)


def recoded(
    field: Field, names: Sequence[str], codes: Array
) -> tuple[NDArray[np.int64], list[str]]:
    """Return the code in a field of what codes mean by other names; see `codes_of`.

    Args:
        field: Has categories.
        names: What the codes mean, ``names[code]``; -1 is none of them.
        codes: Of any shape.
    """
    table = np.append(lookup(names, field.categories or ()), -1)
    present = np.zeros(len(names) + 1, dtype=np.bool_)
    present[codes] = True
    strange = [names[i] for i in np.flatnonzero(present[:-1] & (table[:-1] < 0)).tolist()]
    table[table < 0] = code_of_unknown(field)
    return table[codes], strange


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Return distinct names as a table of all of them would order them: numbers by size."""
    known = set(names)
    if all(_NUMBER.fullmatch(name) for name in known):
        return tuple(sorted(known, key=lambda name: (float(name), name)))
    return tuple(sorted(known))


def with_other(categories: Sequence[str], unknown: Unknown) -> tuple[str, ...]:
    """Return categories with ``other`` among them where unknown values count as that."""
    names = tuple(categories)
    return (*names, OTHER) if unknown is Unknown.other and OTHER not in names else names
