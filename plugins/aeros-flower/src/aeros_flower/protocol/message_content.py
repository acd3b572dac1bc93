"""A message's content: plain data as JSON, and blocks of bytes that hold its arrays.

One `ConfigRecord` called ``aeros`` says everything in JSON, arrays excepted: those lie one
behind the other in blocks of bytes. A small block travels in the record itself, so that a
message is three of Flower's objects and not six; a large one is an `ArrayRecord` of one
array, which Flower cuts into chunks and stores once however many nodes it is for. Nothing
is pickled, and what is read is what was written, or a `WireError`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from flwr.app import Array as FlowerArray
from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from aeros_core.arrays import Array, on_host

__all__ = [
    "PROTOCOL",
    "Block",
    "WireError",
    "dtype_of",
    "floats",
    "kind_of",
    "name_of",
    "named",
    "number",
    "numbers",
    "of",
    "opened",
    "opened_head",
    "pack",
    "rows",
]

PROTOCOL = 1
"""Changes when a message of an older version can no longer be read."""

NAME = "aeros"
PACKED = "packed"
INLINE, ALONE = 2**18, 2**22
"""Bytes up to which a block travels within the record: one that others may share, and one
that nobody else has, so that nothing is saved by storing it once."""

LONGEST = 2**24
"""Characters of JSON in a message that are read, arrays and parameters excepted."""

_T = TypeVar("_T")


class WireError(ValueError):
    """A message that is not what it should be; says what is wrong with it."""


class Block:
    """Arrays one behind the other, each at a multiple of eight bytes.

    What is sent in several messages is made into bytes once.
    """

    def __init__(self) -> None:
        self.table: list[list[Any]] = []
        self._arrays: list[Array] = []
        self._known: dict[int, int] = {}
        self._made: tuple[bytes, ArrayRecord | None] | None = None

    def add(self, vector: Any) -> int:
        """Return the place of a vector; the same object has one place."""
        place = self._known.setdefault(id(vector), len(self.table))
        if place == len(self.table):
            array = vector if _is_flat(vector) else _flat(vector)
            self.table.append([name_of(array.dtype), array.size])
            self._arrays.append(array)
            self._made = None
        return place

    def made(self, inline: int) -> tuple[bytes, ArrayRecord | None]:
        """Return all arrays as bytes, and, where these are more, as a record of their own."""
        if self._made is None:
            parts: list[Any] = []
            for array in self._arrays:
                parts += [array.view(np.uint8).data, bytes(-array.nbytes % 8)]
            data = b"".join(parts)
            record = None
            if len(data) > inline:
                whole = FlowerArray("uint8", (len(data),), "aeros.packed", data)
                record = ArrayRecord({PACKED: whole})
            self._made = (data, record)
        return self._made


def _is_flat(vector: Any) -> bool:
    return type(vector) is np.ndarray and vector.ndim == 1 and vector.flags.c_contiguous


def _flat(vector: Any) -> Array:
    return np.ascontiguousarray(on_host(vector)).reshape(-1)


def pack(
    kind: str, head: dict[str, Any], blocks: Mapping[str, Block], inline: int = INLINE
) -> RecordDict:
    """Return a message of this kind: its data, and the blocks that are not empty."""
    head["blocks"] = {name: block.table for name, block in blocks.items() if block.table}
    config = ConfigRecord({"protocol": PROTOCOL, "kind": kind, "head": json.dumps(head)})
    content = RecordDict({NAME: config})
    for name in head["blocks"]:
        data, record = blocks[name].made(inline)
        if record is None:
            config[name] = data
        else:
            content[name] = record
    return content


def size_of(content: RecordDict) -> int:
    """Return how many bytes a message carries."""
    blocks = [a.data for record in content.array_records.values() for a in record.values()]
    texts = [v for record in content.config_records.values() for v in record.values()]
    return sum(map(len, blocks)) + sum(len(v) for v in texts if isinstance(v, str | bytes))


def kind_of(content: RecordDict) -> str:
    """Return what kind of message this is: ``instructions``, ``replies``, or a note's.

    Raises:
        WireError: It is none of ours, or of another protocol.
    """
    config = content.get(NAME)
    if not isinstance(config, ConfigRecord):
        raise WireError(f"no record called '{NAME}'")
    if config.get("protocol") != PROTOCOL:
        raise WireError(f"protocol {config.get('protocol')!r}, not {PROTOCOL}")
    return of(config.get("kind"), str, "kind")


def opened_head(content: RecordDict, kind: str, longest: int = LONGEST) -> dict[str, Any]:
    """Return the data of a message of this kind, without its arrays.

    Args:
        content: The message.
        kind: Its kind.
        longest: Characters of its JSON that are read at most.

    Raises:
        WireError: It is of another kind, too long, or no JSON.
    """
    if (found := kind_of(content)) != kind:
        raise WireError(f"a message of kind '{found}', not '{kind}'")
    text = of(content[NAME].get("head"), str, "head")
    if len(text) > longest:
        raise WireError(f"its head has {len(text)} characters, at most {longest} are read")
    try:
        head: dict[str, Any] = of(json.loads(text), dict, "head")
    except (ValueError, RecursionError) as error:
        raise WireError(f"its head is no JSON: {error}") from None
    return head


def opened(
    content: RecordDict, kind: str, longest: int = LONGEST
) -> tuple[dict[str, Any], dict[str, list[Array]]]:
    """Return the data of a message of this kind, and its arrays by block."""
    head = opened_head(content, kind, longest)
    tables = of(head.get("blocks"), dict, "blocks")
    return head, {name: _arrays(content, name, table) for name, table in tables.items()}


def _arrays(content: RecordDict, name: str, table: object) -> list[Array]:
    """Return the arrays of a block, writable and nobody else's."""
    places, end = [], 0
    for entry in of(table, list, "blocks"):
        dtype, count = _entry(entry)
        places.append((dtype, count, end))
        end += -(-dtype.itemsize * count // 8) * 8
    data = _data(content, name)
    if len(data) != end:
        raise WireError(f"block '{name}' holds {len(data)} bytes, not {end}")
    whole = bytearray(data)
    return [
        np.frombuffer(whole, dtype, count, start) if count else np.empty(0, dtype)
        for dtype, count, start in places
    ]


def _data(content: RecordDict, name: str) -> bytes:
    inline = content[NAME].get(name)
    if isinstance(inline, bytes):
        return inline
    record = content.get(name)
    if not isinstance(record, ArrayRecord) or PACKED not in record:
        raise WireError(f"block '{name}' is missing")
    return record[PACKED].data


def _entry(entry: object) -> tuple[np.dtype[Any], int]:
    pair = of(entry, list, "block")
    if len(pair) != 2 or of(pair[1], int, "length") < 0 or pair[1] > 2**40:
        raise WireError(f"an array of {pair!r}")
    return dtype_of(pair[0]), pair[1]


def dtype_of(name: object) -> np.dtype[Any]:
    """Return the dtype of numbers that has this name.

    Raises:
        WireError: There is none; objects and texts have no place in a message.
    """
    dtype = _dtype(of(name, str, "dtype"))
    if dtype is None:
        raise WireError(f"dtype {name!r} is no number's")
    return dtype


@lru_cache(maxsize=64)
def _dtype(name: str) -> np.dtype[Any] | None:
    try:
        dtype = np.dtype(name)
    except TypeError:
        return None
    return dtype if dtype.kind in "fiub" and dtype.name == name else None


@lru_cache(maxsize=64)
def name_of(dtype: np.dtype[Any]) -> str:
    """Return a dtype's name, which numpy takes its time to say."""
    return str(dtype.name)


def named(row: Mapping[str, Any], key: str, arrays: Sequence[Array]) -> dict[str, Array]:
    """Return the arrays whose places a row gives by name."""
    found: dict[str, Array] = {}
    for name, place in of(row.get(key), dict, key).items():
        if not 0 <= of(place, int, key) < len(arrays):
            raise WireError(f"{key} '{name}' is array {place} of {len(arrays)}")
        found[name] = arrays[place]
    return found


def rows(head: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the rows of a list of objects."""
    return [of(row, dict, key) for row in of(head.get(key), list, key)]


def numbers(row: Mapping[str, Any], key: str) -> dict[str, float]:
    """Return numbers by name; NaN and infinity pass, for admission to refuse."""
    found = of(row.get(key), dict, key)
    return {n: v if type(v) is float else number(v, n) for n, v in found.items()}


def floats(figures: Mapping[str, float]) -> dict[str, float]:
    """Return numbers by name as JSON can say them."""
    return {name: v if type(v) is float else float(v) for name, v in figures.items()}


def number(value: object, name: str) -> float:
    """Return a number as a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WireError(f"{name} is {value!r}, not a number")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def of(value: object, kind: type[_T], name: str) -> _T:
    """Return a value that is of the very kind it should be; True is no int."""
    if type(value) is not kind:
        raise WireError(f"{name} is {type(value).__name__}, not {kind.__name__}")
    return value
