"""Decode structures of the Thrift compact protocol, in which Parquet writes what it holds.

pyarrow's own view of a file's metadata ends the process on some damaged files, so what is
needed of them is read here first. Fields are known by number alone.

Specification: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["Struct", "decode"]

Struct: TypeAlias = dict[int, Any]
"""Values by the numbers of their fields: int, bool, float as bytes, bytes, list or Struct."""

_DEEPEST = 64
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
_INTEGERS = (4, 5, 6)


def decode(data: bytes, start: int) -> tuple[Struct, int]:
    """Return the structure that begins at ``start``, and where it ends.

    Raises:
        ValueError: The bytes are none.
    """
    reader = _Reader(data, start)
    return reader.struct(0), reader.at


class _Reader:
    """Reads values one behind the other."""

    def __init__(self, data: bytes, start: int) -> None:
        if not 0 <= start < len(data):
            raise ValueError(f"its metadata point to byte {start} of {len(data)}")
        self._data, self.at = data, start

    def struct(self, depth: int) -> Struct:
        """Return a structure; ``depth``: how many it lies within."""
        if depth > _DEEPEST:
            raise ValueError("its metadata are nested too deep")
        found: Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            found[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _INTEGERS:
            return self._signed()
        if kind == _BINARY:
            return self._take(self._unsigned())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            return self._list(depth + 1)
        if kind == _MAP:
            return self._map(depth + 1)
        if kind in (_TRUE, _FALSE, _BYTE):  # a boolean within a list is a byte
            return self._byte()
        if kind == _DOUBLE:
            return self._take(8)
        raise ValueError(f"its metadata have a value of the unknown type {kind}")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        count = self._unsigned() if head >> 4 == 15 else head >> 4
        self._bound(count)
        if depth > _DEEPEST:
            raise ValueError("its metadata are nested too deep")
        return [self._value(head & 15, depth) for _ in range(count)]

    def _map(self, depth: int) -> list[Any]:
        count = self._unsigned()
        self._bound(count)
        kinds = self._byte() if count else 0
        return [
            (self._value(kinds >> 4, depth), self._value(kinds & 15, depth)) for _ in range(count)
        ]

    def _bound(self, count: int) -> None:
        """Refuse more members than there are bytes: each takes one at least."""
        if count > len(self._data) - self.at:
            raise ValueError(f"its metadata announce {count} values, more than the file has bytes")

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, count: int) -> bytes:
        if count > len(self._data) - self.at:
            raise ValueError("it ends within its metadata")
        self.at += count
        return self._data[self.at - count : self.at]

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("its metadata have a number that is too long")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
