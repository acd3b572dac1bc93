"""A downloaded object as a file that is read sequentially."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["Download"]


class Download(io.RawIOBase):
    """Bytes in memory, read without a copy.

    Args:
        data: The bytes.
    """

    def __init__(self, data: ReadableBuffer) -> None:
        self._rest = memoryview(data).cast("B")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into a buffer; return the number of bytes read."""
        into = memoryview(buffer).cast("B")
        size = min(len(into), len(self._rest))
        into[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
