"""What happens to plain data and to files that strangers have had: for tests of readers.

A reader answers or raises one of its own errors, whatever it is given::

    @given(data=st.data())
    def test_a_damaged_file_is_read_or_refused(whole, data):
        changed = data.draw(damaged(whole))
        with contextlib.suppress(RepositoryError):
            read(changed)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

__all__ = ["JUNK", "changed", "damaged", "deep", "places"]

_SHORT = 1000
_LARGE = 2**70


def deep(levels: int) -> list[Any]:
    """Return an empty list within so many others."""
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


JUNK: Sequence[Any] = (
    None, True, False, -1, 0, 1, 7, 2**31, 2**40, 2**63, 10**30, 0.5, -1e308, float("inf"),
    float("nan"), "", "x", "float32", "9" * 5000, "\ud800", "../../etc/passwd", "a" * 64,
    [], [[]], [0], {}, {"": {}}, {"$blob": "b" * 64}, deep(150),
)  # fmt: skip
"""Values that nobody expects: of other types, far too large, too deep, no text at all."""


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where the parts of plain data lie, the whole first, as keys and positions."""
    found = [at]
    inside: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inside = [*value.items()]
    elif isinstance(value, list):
        inside = [*enumerate(value)]
    for key, part in inside:
        found += places(part, (*at, key))
    return found


@st.composite
def changed(draw: st.DrawFn, whole: Any) -> Any:
    """Plain data, one to three parts of which are junk, gone, elsewhere, or many times there."""
    found = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        inner = places(found)[1:]
        if not inner:
            return draw(st.sampled_from(JUNK))
        *path, key = draw(st.sampled_from(inner))
        holder = _part(found, path)
        how = draw(st.sampled_from(["junk", "gone", "moved", "more"]))
        if how == "gone":
            del holder[key]
        elif how == "moved":
            holder[key] = copy.deepcopy(_part(found, draw(st.sampled_from(places(found)))))
        elif how == "more" and _is_short(holder[key]):
            holder[key] = holder[key] * draw(st.sampled_from([2, 3, 100]))
        else:
            holder[key] = copy.deepcopy(draw(st.sampled_from(JUNK)))
    return found


@st.composite
def damaged(draw: st.DrawFn, data: bytes, other: bytes = b"") -> bytes:
    """A file, not empty, that is cut off, has flipped bits, or a part of it or another in it."""
    found = bytearray(data)
    at = draw(st.integers(0, len(found) - 1))
    how = draw(st.sampled_from(["cut", "flip", "splice", "repeat", "insert"]))
    if how == "cut":
        del found[at:]
    elif how == "flip":
        for place in {at, draw(st.integers(0, len(found) - 1))}:
            found[place] ^= 1 << draw(st.integers(0, 7))
    elif how == "splice":
        found[at:] = other[draw(st.integers(0, len(other))) :]
    elif how == "repeat":
        found[at:at] = found[: draw(st.integers(0, len(found)))]
    else:
        found[at:at] = draw(st.binary(min_size=1, max_size=20))
    return bytes(found)


def _part(value: Any, at: Sequence[Any]) -> Any:
    for key in at:
        value = value[key]
    return value


def _is_short(value: Any) -> bool:
    """Tell whether a hundred of it are no memory to speak of."""
    if isinstance(value, int | float):
        return abs(value) < _LARGE
    return isinstance(value, str | list) and len(repr(value)) < _SHORT
