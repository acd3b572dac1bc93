"""Checksums of what a site notes down: a flipped bit lets no older version and no key in.

They guard against accidents alone; who can write the file can write its checksums.
"""

from __future__ import annotations

import zlib

__all__ = ["of"]


def of(*words: str) -> str:
    """Return the CRC-32 of some words, one a line, as eight hexadecimal digits."""
    return f"{zlib.crc32(chr(10).join(words).encode()):08x}"
