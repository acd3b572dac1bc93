"""Header blocks of HTTP/2: read by the library hpack, remembered where they say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, cast

import hpack

from aeros_serving.frames import Code, Fault

__all__ = ["Blocks", "Headers"]

Headers: TypeAlias = Mapping[bytes, bytes]

_KNOWN = 256


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
        size, newest = self._table()
        try:
            found = cast("list[tuple[bytes, bytes]]", self._decoder.decode(block, raw=True))
        except hpack.OversizedHeaderListError as error:
            raise Fault(Code.ENHANCE_YOUR_CALM, str(error)) from None
        except Exception as error:  # some of what is damaged shows as an error of Python's own
            raise Fault(Code.COMPRESSION_ERROR, f"{type(error).__name__}: {error}") from None
        headers = {bytes(name): bytes(value) for name, value in found}
        if (now := self._table())[0] != size or now[1] is not newest:
            self._known.clear()
        elif len(self._known) < _KNOWN:
            self._known[block] = headers
        return headers

    def _table(self) -> tuple[int, object]:
        """Return what changes whenever the table does: its length, or its newest entry."""
        entries = self._decoder.header_table.dynamic_entries
        return len(entries), entries[0] if entries else None
