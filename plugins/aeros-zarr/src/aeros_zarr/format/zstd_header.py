"""Read the decompressed size of a Zstandard frame from its header (RFC 8878, section 3.1.1).

A few kilobytes can decompress to terabytes, so the size is checked before decompression.
"""

from __future__ import annotations

__all__ = ["unpacked"]

_MAGIC = b"\x28\xb5\x2f\xfd"
_WIDTHS = (0, 2, 4, 8)
_IDS = (0, 1, 2, 4)
_REPEATED = 1
_RESERVED = 3


def unpacked(data: bytes) -> int | None:
    """Return the decompressed size that a frame declares; None unless data is one such frame."""
    if len(data) < 5 or not data.startswith(_MAGIC):
        return None
    descriptor = data[4]
    single = bool(descriptor >> 5 & 1)  # single segment: there is no window descriptor
    width = _WIDTHS[descriptor >> 6] or int(single)
    start = 5 + (not single) + _IDS[descriptor & 3]
    end = start + width
    if not width or _end(data, end, checksum=bool(descriptor >> 2 & 1)) != len(data):
        return None
    return int.from_bytes(data[start:end], "little") + (256 if width == 2 else 0)


def _end(data: bytes, at: int, *, checksum: bool) -> int | None:
    """Return the end of a frame whose first block begins at ``at``; None if it is truncated."""
    last = False
    while not last:
        head = int.from_bytes(data[at : at + 3], "little")
        last, kind, size = bool(head & 1), head >> 1 & 3, head >> 3
        if at + 3 > len(data) or kind == _RESERVED:
            return None
        at += 3 + (1 if kind == _REPEATED else size)
    return at + 4 * checksum
