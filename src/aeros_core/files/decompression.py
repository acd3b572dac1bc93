"""Bound the memory that a file may take, before it is taken.

Half a megabyte of gzip, a header that announces an array of a terabyte, or a column of one
value repeated 2**26 times would fill any machine. What a file becomes is therefore bounded in
proportion to its bytes on disk, with a floor below which nothing is asked.
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from aeros_core.errors import ConfigError, DataError

__all__ = ["FLOOR", "RATIO", "VARIABLE", "allowed", "check", "installed", "spelled", "unpack"]

VARIABLE = "AEROS_UNPACK_MB"
"""The environment variable that sets the bound for every file, in MB of 2**20 bytes."""

RATIO = 100
"""Bytes in memory for each byte of a file; tables and images in the field need 2 to 40."""

FLOOR = 256 * 2**20
"""Bytes in memory that a file of any size may take."""

_PIECE = 2**20
_DICTIONARY = 256 * 2**20
"""Bytes that the xz decoder may take for itself; ``xz -9`` needs 65 MiB."""

_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError)


def allowed(read: int) -> int:
    """Return how many bytes may come of a file of ``read`` bytes.

    Raises:
        ConfigError: The environment variable `VARIABLE` is set to no number.
    """
    told = os.environ.get(VARIABLE, "")
    if not told:
        return max(FLOOR, RATIO * read)
    if not (told.isascii() and told.isdigit() and int(told[:18])):
        raise ConfigError(
            f"{VARIABLE} must be a whole number of MB from 1, got '{told[:40]}'",
            hint=f"{VARIABLE}={FLOOR >> 20}, or unset it",
        )
    return int(told[:18]) * 2**20


def check(subject: str, wanted: int, read: int) -> None:
    """Refuse what would take more memory than a file of its size may.

    Args:
        subject: What takes it, as ``array 'x' of a.npz``.
        wanted: Bytes that it takes.
        read: Bytes of the file.

    Raises:
        DataError: It is too much.
    """
    if wanted > (most := allowed(read)):
        raise DataError(
            f"{subject} takes {spelled(wanted)} of memory, more than the {spelled(most)}"
            f" allowed for a file of {spelled(read)}",
            hint=f"{VARIABLE}={-(-wanted // 2**20)} in the environment allows it, if the file is"
            " as it should be",
        )


def installed() -> int:
    """Return the bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def spelled(number: int) -> str:
    """Return a number of bytes as people say it, as ``3.5 GiB``."""
    size = float(number)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            return f"{number} bytes" if unit == "bytes" else f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} PiB"


def unpack(data: bytes, path: str | Path) -> bytes:
    """Return the bytes of a file, decompressed where its name ends in .gz or .xz.

    Raises:
        DataError: The file is damaged, or becomes larger than is allowed.
    """
    suffix = Path(path).suffix
    if suffix not in (".gz", ".xz"):
        return data
    most, whole = allowed(len(data)), io.BytesIO()
    try:
        for piece in _gzip(data) if suffix == ".gz" else _xz(data):
            whole.write(piece)
            if whole.tell() > most:
                break
    except _DAMAGED as error:
        raise DataError(f"{path} is damaged: {error}", hint="fetch the file again") from error
    if whole.tell() > most:
        raise DataError(
            f"{path} becomes more than the {spelled(most)} allowed for a file of"
            f" {spelled(len(data))} when it is unpacked",
            hint=f"{VARIABLE}={(most >> 20) * 4} in the environment allows four times as much,"
            " if the file is as it should be",
        )
    return whole.getvalue()


def _gzip(data: bytes) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        while piece := file.read(_PIECE):
            yield piece


def _xz(data: bytes) -> Iterator[bytes]:
    """Yield the streams of an xz file, with a bound on what the decoder takes for itself."""
    first = True
    while data or first:
        first = False
        decoder = lzma.LZMADecompressor(memlimit=_DICTIONARY)
        piece = decoder.decompress(data, _PIECE)
        while piece or not decoder.eof:
            yield piece
            if not piece and decoder.needs_input and not decoder.eof:
                raise EOFError("it ends within the packed data")
            piece = b"" if decoder.eof else decoder.decompress(b"", _PIECE)
        data = decoder.unused_data.lstrip(b"\0")
