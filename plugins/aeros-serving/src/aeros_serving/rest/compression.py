"""Content encodings of bodies: gzip and deflate, bounded."""

from __future__ import annotations

import gzip
import zlib

from aeros_serving.protocol.errors import Malformed, TooLarge
from aeros_serving.protocol.tensors import Buffer

__all__ = ["inflated", "packed"]

STEP = 1024
"""Bytes of a member that are read first, and then twice as many, so that each is read once."""

PIECE = 64 * 1024
"""Bytes that are unpacked at once: other threads run in between."""


def inflated(encoding: str, body: Buffer, limit: int) -> Buffer:
    """Return a body without its content encoding.

    Raises:
        Malformed: It is none that is known, or the body is damaged.
        TooLarge: It is larger than the limit.
    """
    if encoding not in ("gzip", "deflate"):
        raise Malformed(f"content-encoding {encoding} is none of gzip, deflate")
    view, pieces = memoryview(body), list[bytes]()
    place, left = 0, limit
    while place < len(view):
        place, left = _member(encoding, view, place, pieces, left)
        if left < 0:
            raise TooLarge(f"the body has more than {limit:,} bytes")
    if not place:
        raise Malformed(f"the body is no whole {encoding}")
    return b"".join(pieces)


def _member(
    encoding: str, view: memoryview, place: int, pieces: list[bytes], left: int
) -> tuple[int, int]:
    """Append a member of a gzip file, of which there may be several.

    Returns:
        Where it ends, and how many bytes there may still be; less than 0: it was too large.
    """
    decoder, step, rest = zlib.decompressobj(zlib.MAX_WBITS | 32), STEP, b""
    while not decoder.eof and left >= 0:
        piece = rest or view[place : place + step]
        place += 0 if rest else len(piece)
        try:
            pieces.append(decoder.decompress(piece, PIECE))
        except zlib.error as error:
            raise Malformed(f"the body is no {encoding}: {error}") from None
        if not piece and not pieces[-1] and not decoder.eof:
            raise Malformed(f"the body is no whole {encoding}")
        left -= len(pieces[-1])
        rest, step = decoder.unconsumed_tail, min(2 * step, PIECE)
    return place - len(decoder.unused_data), left


def packed(accepted: str, body: bytes) -> tuple[bytes, str]:
    """Return a body in an encoding that the client accepts, and its name; empty: none."""
    words = [word.partition(";")[0].strip() for word in accepted.split(",")]
    if "gzip" in words:
        return gzip.compress(body, 1), "gzip"
    if "deflate" in words:
        return zlib.compress(body, 1), "deflate"
    return body, ""
