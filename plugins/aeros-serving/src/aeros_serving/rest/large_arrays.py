"""Large arrays of numbers or texts in JSON, read in pieces.

A parser reads a whole body in one call, in which no other thread runs: 12.8 MB of nested numbers
stop the event loop for half a second, of short texts for a quarter. Here the arrays ``data`` are
taken out of the body, and read in pieces of a millisecond; what is left of the body is small.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from aeros_core.arrays import Array
from aeros_serving.protocol.errors import Malformed
from aeros_serving.protocol.interpreter import release_interpreter
from aeros_serving.protocol.tensors import count_of, of_json
from aeros_serving.rest.large_texts import bare, elements_of, is_of_texts, texts_end

__all__ = ["CONTAINERS", "LargeArrays"]

CONTAINERS = 500_000
"""Arrays and objects of a body beside those that are taken out: a parser makes them in about
50 ms."""

TEXTS = 500_000
"""Texts of a body beside those of large arrays."""

_SMALL = 65536
"""Bytes of an array of numbers that is left where it is, and of a piece."""

_SMALL_TEXTS = 1024
"""Bytes of an array of texts that is left where it is."""

_DATA = re.compile(rb'"data"\s*+:\s*+(?=\[)')
_END = re.compile(rb'["{}]')
"""What no array of numbers holds."""

_SKELETON = bytes(byte if byte in b"[]," else ord("0") for byte in range(256))
"""Translates what is between brackets and commas to zeros."""

_SPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class _LargeArray:
    """An array of numbers or texts, possibly nested.

    Args:
        text: The JSON.
        elements: Number of its elements, if it is an array and not other than it seems.
        ends: Where pieces of texts end; empty: it is one of numbers.
    """

    text: bytes
    elements: int
    ends: Sequence[int] = ()

    @property
    def nested(self) -> bool:
        """Whether there are arrays within it, as far as its beginning shows."""
        start = self.text[: self.ends[0] if self.ends else _SMALL]
        return bare(start).count(b"[") > 1

    def pieces(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield pieces of whole elements: those without brackets, and the piece without texts."""
        place = 0
        for end in self.ends:
            piece = self.text[place:end]
            structure = bare(piece)
            yield elements_of(piece, structure), structure
            place = end
        while not self.ends and place < len(self.text):
            cut = _cut(self.text, place)
            yield self.text[place:cut].translate(None, b"[]"), self.text[place : cut + 1]
            place = cut + 1


class LargeArrays:
    """Takes large arrays of numbers or texts out of a JSON body, and makes tensors of them.

    Args:
        body: The JSON.

    Attributes:
        rest: The JSON without them.

    Raises:
        Malformed: It holds more arrays, objects or texts than are read at once.
    """

    def __init__(self, body: bytes) -> None:
        self._key = secrets.token_hex()  # no body holds it: it marks where an array was
        self._arrays: list[_LargeArray] = []
        kept, place = [], 0
        for start, array in _found(body):
            kept += [body[place:start], b'{"%s":%d}' % (self._key.encode(), len(self._arrays))]
            self._arrays.append(array)
            place = start + len(array.text)
        self.rest = b"".join([*kept, body[place:]])
        if (count := self.rest.count(b"[") + self.rest.count(b"{")) > CONTAINERS:
            raise Malformed(
                f"the request holds {count} arrays and objects, and at most {CONTAINERS} are read;"
                " send nested data flat, or as binary data"
            )
        if (count := self.rest.count(b'"') // 2) > TEXTS:
            raise Malformed(
                f"the request holds {count} texts in objects and small arrays, and at most"
                f" {TEXTS} are read; send fewer inputs with more rows each, or binary data"
            )

    def tensor(self, name: str, datatype: str, shape: Sequence[int], data: Any) -> Array | None:
        """Return the tensor of an array that was taken out; None: ``data`` is something else.

        Raises:
            Malformed: Datatype, shape and elements do not agree.
        """
        if not isinstance(data, Mapping) or self._key not in data:
            return None
        array, what = self._arrays[data[self._key]], f"input '{name}'"
        of_json(name, datatype, [0], [])  # whether there is such a datatype in JSON
        count, held = count_of(name, shape), array.elements
        if held != count:
            raise Malformed(f"{what}: {held} elements of data, but shape {list(shape)} has {count}")
        expected = _structure(shape if array.nested else [count], len(array.text))
        if expected is None:
            raise Malformed(f"{what}: data is nested otherwise than shape {list(shape)}")
        return _read(name, datatype, shape, array, expected)


def _read(
    name: str, datatype: str, shape: Sequence[int], large: _LargeArray, expected: bytes
) -> Array:
    told = f"input '{name}': data is nested otherwise than shape {list(shape)}"
    array: Array | None = None
    done = seen = 0
    for piece, bare_piece in large.pieces():
        skeleton = bare_piece.translate(_SKELETON, _SPACE)
        structure = skeleton.translate(None, b"0")
        if not expected.startswith(structure, seen) or b"0[" in skeleton or b"]0" in skeleton:
            raise Malformed(told)
        release_interpreter()
        values = _values(name, piece, done)
        part = of_json(name, datatype, [len(values)], values, done)
        array = np.empty(expected.count(b",") + 1, part.dtype) if array is None else array
        array[done : done + len(part)] = part
        done, seen = done + len(part), seen + len(structure)
    if array is None or seen != len(expected):
        raise Malformed(told)
    return array.reshape(tuple(shape))


def _found(body: bytes) -> Iterator[tuple[int, _LargeArray]]:
    """Yield where large arrays begin, and the arrays."""
    place = 0
    while match := _DATA.search(body, place):
        start = place = match.end()
        if is_of_texts(body, start):
            if (found := texts_end(body, start)) is not None:
                ends, elements = found
                place = ends[-1]
                if place - start > _SMALL_TEXTS:
                    relative = [end - start for end in ends]
                    yield start, _LargeArray(body[start:place], elements, relative)
            continue
        end = None
        while end is None and place < len(body):
            end = _END.search(body, place, place + _SMALL)
            place = end.start() if end else place + _SMALL
        last = body.rfind(b"]", start, place) + 1
        if last - start > _SMALL:
            text = body[start:last]
            yield start, _LargeArray(text, text.count(b",") + 1)


def _structure(shape: Sequence[int], most: int) -> bytes | None:
    """Return brackets and commas of an array of a shape; None: they are more than ``most``."""
    text = b"," * (shape[-1] - 1)
    for length in [*reversed(shape[:-1]), None]:
        text = b"[" + text + b"]"
        if length is None:
            return text
        if length * (len(text) + 1) > most:
            return None
        text = (text + b",") * (length - 1) + text
    return None


def _cut(text: bytes, place: int) -> int:
    """Return where the piece ends that begins at a place: at a comma, or the end."""
    if len(text) - place <= _SMALL:
        return len(text)
    cut = text.rfind(b",", place, place + _SMALL)
    if cut <= place:
        cut = text.find(b",", place + 1)
    return len(text) if cut < 0 else cut


def _values(name: str, piece: bytes, done: int) -> list[Any]:
    try:
        values: list[Any] = orjson.loads(b"[" + piece + b"]")
    except orjson.JSONDecodeError:
        raise Malformed(f"input '{name}': data is no JSON behind element {done}") from None
    return values
