"""Large arrays of numbers in JSON, read in pieces.

A parser reads a whole body in one call, in which no other thread runs: 12.8 MB of nested numbers
stop the event loop for half a second. Here the arrays ``data`` are taken out of the body, and read
in pieces of a millisecond; what is left of the body is small.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from aeros_core.arrays import Array
from aeros_serving.protocol.errors import Malformed
from aeros_serving.protocol.tensors import count_of, of_json

__all__ = ["CONTAINERS", "LargeNumbers"]

CONTAINERS = 500_000
"""Arrays and objects of a body beside those of numbers: a parser makes them in about 50 ms."""

_SMALL = 65536
"""Bytes of an array that is left where it is, and of a piece."""

_DATA = re.compile(rb'"data"\s*+:\s*+(?=\[)')
_END = re.compile(rb'["{}]')
"""What no array of numbers holds."""

_SKELETON = bytes(byte if byte in b"[]," else ord("0") for byte in range(256))
"""Translates what is between brackets and commas to zeros."""

_SPACE = b" \t\r\n"


class LargeNumbers:
    """Takes large arrays of numbers out of a JSON body, and makes tensors of them.

    Args:
        body: The JSON.

    Attributes:
        rest: The JSON without them.

    Raises:
        Malformed: It holds more arrays and objects than are read at once.
    """

    def __init__(self, body: bytes) -> None:
        self._key = secrets.token_hex()  # no body holds it: it marks where an array was
        self._arrays: list[bytes] = []
        kept, place = [], 0
        for start, end in _found(body):
            kept += [body[place:start], b'{"%s":%d}' % (self._key.encode(), len(self._arrays))]
            self._arrays.append(body[start:end])
            place = end
        self.rest = b"".join([*kept, body[place:]])
        if (count := self.rest.count(b"[") + self.rest.count(b"{")) > CONTAINERS:
            raise Malformed(
                f"the request holds {count} arrays and objects, and at most {CONTAINERS} are read;"
                " send nested data flat, or as binary data"
            )

    def tensor(self, name: str, datatype: str, shape: Sequence[int], data: Any) -> Array | None:
        """Return the tensor of an array that was taken out; None: ``data`` is something else.

        Raises:
            Malformed: Datatype, shape and numbers do not agree.
        """
        if not isinstance(data, Mapping) or self._key not in data:
            return None
        text, what = self._arrays[data[self._key]], f"input '{name}'"
        of_json(name, datatype, [0], [])  # whether there is such a datatype in JSON
        count, held = count_of(name, shape), text.count(b",") + 1
        if held != count:
            raise Malformed(f"{what}: {held} elements of data, but shape {list(shape)} has {count}")
        nested = text.count(b"[", 0, _SMALL) > 1
        expected = _structure(shape if nested else [count], len(text))
        if expected is None:
            raise Malformed(f"{what}: data is nested otherwise than shape {list(shape)}")
        return self._read(name, datatype, shape, text, expected)

    def _read(
        self, name: str, datatype: str, shape: Sequence[int], text: bytes, expected: bytes
    ) -> Array:
        told = f"input '{name}': data is nested otherwise than shape {list(shape)}"
        array: Array | None = None
        done = place = seen = 0
        while place < len(text):
            cut = _cut(text, place)
            skeleton = text[place : cut + 1].translate(_SKELETON, _SPACE)
            structure = skeleton.translate(None, b"0")
            if not expected.startswith(structure, seen) or b"0[" in skeleton or b"]0" in skeleton:
                raise Malformed(told)
            values = _values(name, text[place:cut], done)
            part = of_json(name, datatype, [len(values)], values, done)
            array = np.empty(expected.count(b",") + 1, part.dtype) if array is None else array
            array[done : done + len(part)] = part
            done, place, seen = done + len(part), cut + 1, seen + len(structure)
        if array is None or seen != len(expected):
            raise Malformed(told)
        return array.reshape(tuple(shape))


def _found(body: bytes) -> list[tuple[int, int]]:
    """Return where large arrays of numbers begin and end."""
    found, place = [], 0
    while match := _DATA.search(body, place):
        start = place = match.end()
        end = None
        while end is None and place < len(body):
            end = _END.search(body, place, place + _SMALL)
            place = end.start() if end else place + _SMALL
        last = body.rfind(b"]", start, place) + 1
        if last - start > _SMALL:
            found.append((start, last))
    return found


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
        values: list[Any] = orjson.loads(b"[" + piece.translate(None, b"[]") + b"]")
    except orjson.JSONDecodeError:
        raise Malformed(f"input '{name}': data is no JSON behind element {done}") from None
    return values
