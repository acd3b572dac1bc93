"""How many bytes a Zstandard frame unpacks to, without unpacking it (RFC 8878, section 3.1.1).

A few kilobytes can unpack to terabytes; who asks first makes room for what there should be.
"""

from __future__ import annotations

__all__ = ["unpacked"]

_MAGIC = b"\x28\xb5\x2f\xfd"
_WIDTHS = (0, 2, 4, 8)
_IDS = (0, 1, 2, 4)
_REPEATED = 1
_RESERVED = 3


def unpacked(data: bytes) -> int | None:
    """Return the bytes that a frame says to unpack to; None if it is not just one that says so."""
    if len(data) < 5 or not data.startswith(_MAGIC):
        return None
    told = data[4]
    single = bool(told >> 5 & 1)  # then there is no byte of the window
    width = _WIDTHS[told >> 6] or int(single)
    start = 5 + (not single) + _IDS[told & 3]
    end = start + width
    if not width or _end(data, end, checksum=bool(told >> 2 & 1)) != len(data):
        return None
    return int.from_bytes(data[start:end], "little") + (256 if width == 2 else 0)


def _end(data: bytes, at: int, *, checksum: bool) -> int | None:
    """Return where a frame ends whose first block begins here; None if it does not."""
    last = False
    while not last:
        head = int.from_bytes(data[at : at + 3], "little")
        last, kind, size = bool(head & 1), head >> 1 & 3, head >> 3
        if at + 3 > len(data) or kind == _RESERVED:
            return None
        at += 3 + (1 if kind == _REPEATED else size)
    return at + 4 * checksum
