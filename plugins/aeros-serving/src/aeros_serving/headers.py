"""Header blocks of HTTP/2: put together, read by the library hpack, and remembered.

A block that is larger than a frame comes in several (RFC 9113, section 4.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

import hpack

from aeros_serving.frames import Code, Fault

__all__ = ["Blocks", "Headers", "Pieces"]

Headers: TypeAlias = Mapping[bytes, bytes]

_KNOWN = 256
"""Blocks that are remembered of a client."""

_SHORT = 1024
"""Bytes of a block that is: those of calls are shorter, and memory has an end."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """A block of which not all has come.

    Args:
        stream: Whose headers they are.
        ended: Whether nothing follows them.
        block: What is there.
        limit: Bytes of the whole, at most.
    """

    stream: int
    ended: bool
    block: bytes
    limit: int

    def more(self, stream: int, body: bytes) -> Pieces:
        """Return the block with the next piece.

        Raises:
            Fault: The piece belongs to another stream, or the block becomes too large.
        """
        if stream != self.stream:
            raise Fault(Code.PROTOCOL_ERROR, f"a continuation of stream {stream}")
        if len(self.block) + len(body) > self.limit:
            raise Fault(Code.ENHANCE_YOUR_CALM, f"the headers are larger than {self.limit} bytes")
        return Pieces(stream, self.ended, self.block + body, self.limit)


class Blocks:
    """Reads a client's header blocks, in the order in which they come.

    A block that enters nothing into the table (RFC 7541, section 2.3.2) means the same until
    one does. A client that asks the same again and again sends the same block, and it is read
    once.

    Args:
        limit: Bytes of the headers, unpacked.
    """

    def __init__(self, limit: int) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=limit)
        self._known: dict[bytes, Headers] = {}

    def read(self, block: bytes) -> Headers:
        """Return the headers by name; of one that is there twice the last.

        Raises:
            Fault: The block is damaged, or larger than the limit.
        """
        if (known := self._known.get(block)) is not None:
            return known
        size, newest, room = self._table()
        try:
            found = cast("list[tuple[bytes, bytes]]", self._decoder.decode(block, raw=True))
        except hpack.OversizedHeaderListError as error:
            raise Fault(Code.ENHANCE_YOUR_CALM, str(error)) from None
        except Exception as error:  # some of what is damaged shows as an error of Python's own
            raise Fault(Code.COMPRESSION_ERROR, f"{type(error).__name__}: {error}") from None
        headers = {bytes(name): bytes(value) for name, value in found}
        now = self._table()
        if now[0] != size or now[1] is not newest or now[2] != room:
            self._known.clear()
        elif len(block) <= _SHORT:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[block] = headers
        return headers

    def _table(self) -> tuple[int, object, int]:
        """Return what changes whenever the table does: its length, newest entry, or room."""
        table = self._decoder.header_table
        entries = table.dynamic_entries
        return len(entries), entries[0] if entries else None, table.maxsize
