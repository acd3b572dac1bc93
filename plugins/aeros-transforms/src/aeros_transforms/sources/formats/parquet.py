"""Read Parquet files that anybody may have written, within a bound on memory.

A column of one value repeated is a few bytes in the file, whatever its length; a page may
unpack to a thousand times its size; and a text that stands in the dictionary once is copied to
each row by most readers. So the rows and pages that a file announces are held against its size
first, and texts are read as codes of their dictionary.

Specification: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aeros_core.errors import DataError
from aeros_core.files import decompression
from aeros_transforms.sources.formats import thrift

__all__ = ["read"]

_NUMBER, _OBJECT = 8, 64
"""Bytes of a value in a frame: a number or a reference, or an object such as a date."""

_FIXED = 7
"""The physical type of values of one declared length."""

_OLD_OBJECTS = (5, 6, 7, 8)
_NEW_OBJECTS = (5, 6, 7, 14)
"""Logical types, as they were and are numbered, that become objects: decimals, dates, times."""


@dataclass(slots=True)
class _Column:
    """A column at the top of the file's schema, and what its pages announce."""

    name: str
    each: int
    nested: bool
    values: int = 0
    pages: int = 0
    places: list[int] = field(default_factory=list)


def read(data: bytes, path: str | Path) -> Any:
    """Return a Parquet file as a pandas frame; whatever pyarrow raises is let through.

    Args:
        data: The bytes of the file.
        path: The file, for messages.

    Raises:
        DataError: It takes too much memory, or two of its columns have one name.
        ValueError: It is damaged.
    """
    import pyarrow.parquet as pq

    rows, columns = _announced(data)
    names = [column.name for column in columns]
    _check(rows, columns, len(data), path)
    schema = pq.ParquetFile(io.BytesIO(data)).schema_arrow
    if list(schema.names) != names:
        raise ValueError("its metadata contradict one another")
    flat = [column.name for column in columns if not column.nested]
    texts = [name for name in flat if _text(schema.field(name).type)]
    held = pq.ParquetFile(io.BytesIO(data), read_dictionary=texts)
    frame = held.read(columns=flat, use_pandas_metadata=True).to_pandas().reset_index(drop=True)
    frame = frame.astype({name: object for name in texts if name in frame})  # rows share texts
    return _with_nested(frame, names, flat, rows)


def _announced(data: bytes) -> tuple[int, list[_Column]]:
    """Return the number of rows and the columns that a file announces."""
    if len(data) < 12 or data[-4:] != b"PAR1":
        raise ValueError("it does not end as a Parquet file does")
    length = int.from_bytes(data[-8:-4], "little")
    try:
        told, _ = thrift.decode(data[:-8], len(data) - 8 - length)
        columns = list(_columns(told[2]))
        leaves = {leaf: column for column in columns for leaf in column.places}
        rows = int(told[3])
        for group in told[4]:
            rows = max(rows, int(group[3]))
            for leaf, chunk in enumerate(group[1]):
                column = leaves[leaf]
                column.values += max(chunk[3][5], 0)
                column.pages += 0 if column.nested else _pages(data, chunk[3])
    except (LookupError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"its metadata are damaged: {error!r}") from error
    return rows, columns


def _columns(schema: list[thrift.Struct]) -> Iterator[_Column]:
    """Yield the columns at the top; each knows the places of the leaves below it."""
    at, leaf = 1, 0
    for _ in range(schema[0].get(5, 0)):
        told, start, left = schema[at], leaf, 1
        while left:  # elements follow in the order of a walk through the tree
            inside = schema[at].get(5) or 0
            leaf += 0 if inside else 1
            left += inside - 1
            at += 1
        nested = bool(told.get(5)) or told.get(3) == 2
        yield _Column(told[4].decode(), _each(told), nested, places=list(range(start, leaf)))


def _each(told: thrift.Struct) -> int:
    """Return the bytes that a value takes in a frame."""
    objects = told.get(6) in _OLD_OBJECTS or any(kind in told.get(10, {}) for kind in _NEW_OBJECTS)
    if told.get(1) == _FIXED:
        return _OBJECT + max(int(told.get(2, 0)), 0)
    return _OBJECT if objects else _NUMBER


def _pages(data: bytes, chunk: thrift.Struct) -> int:
    """Return the bytes of a column's pages, unpacked."""
    at = min(place for place in (chunk[9], chunk.get(11) or chunk[9]) if place > 0)
    end, unpacked = at + int(chunk[7]), 0
    while at < end:
        header, start = thrift.decode(data, at)
        if header[2] < 0 or header[3] < 0:
            raise ValueError("it has a page of negative length")
        unpacked += header[2]
        at = start + header[3]
    return max(unpacked, int(chunk[6]))


def _check(rows: int, columns: list[_Column], held: int, path: str | Path) -> None:
    """Hold what a file announces against its size."""
    total, seen = 0, set()
    for column in columns:
        if column.name in seen:
            raise DataError(f"{path} has two columns called '{column.name}'")
        seen.add(column.name)
        many = rows if column.nested else max(rows, column.values)
        wanted = many * column.each + column.pages
        decompression.check(f"column '{column.name}' of {path}", wanted, held)
        total += wanted
    decompression.check(f"{path} with its {len(columns)} columns", total, held)


def _text(kind: Any) -> bool:
    import pyarrow as pa

    told = pa.types
    kinds = (told.is_string, told.is_large_string, told.is_string_view,
             told.is_binary, told.is_large_binary, told.is_binary_view)  # fmt: skip
    return any(is_one(kind) for is_one in kinds)


def _with_nested(frame: Any, names: list[str], flat: list[str], rows: int) -> Any:
    """Put a column of empty lists where one of lists or structures was not read.

    Nothing reads their values: a table that does not drop such a column is refused.
    """
    import pandas as pd

    lists = [name for name in names if name not in set(flat)]
    if not lists:
        return frame
    empty = pd.Series([[]] * rows, dtype=object)
    whole = pd.concat([frame, pd.DataFrame(dict.fromkeys(lists, empty))], axis=1)
    return whole[[name for name in names if name in whole]]
