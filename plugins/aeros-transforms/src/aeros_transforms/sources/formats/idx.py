"""The idx file format of MNIST: a magic number, big-endian lengths, and the values.

Source: Y. LeCun, C. Cortes, C. Burges: The MNIST database of handwritten digits, "File
formats for the MNIST database".
"""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np

from aeros_core.arrays import Array
from aeros_core.errors import DataError

__all__ = ["parse"]

_DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def parse(data: bytes, path: str | Path) -> Array:
    """Return the array an idx file holds, read-only and in the file's byte order.

    Args:
        data: The file's bytes, unpacked.
        path: The file, for messages.

    Raises:
        DataError: The header or the length is wrong.
    """
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _DTYPES:
        start = data[:4].hex(" ") or "nothing"
        raise DataError(
            f"{path} is not an idx file: it starts with {start}",
            exists="idx files start with 00 00, a type (08, 09, 0b to 0e) and a dimension count",
        )
    dtype, end = np.dtype(_DTYPES[data[2]]), 4 + 4 * data[3]
    if len(data) < end:
        raise DataError(f"{path} is damaged: it ends within its header of {end} bytes")
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", data[3], 4))
    wanted, held = prod(shape) * dtype.itemsize, len(data) - end
    if wanted != held:
        lengths = " x ".join(map(str, shape))
        raise DataError(
            f"{path} is damaged: its header says {lengths} values in {wanted} bytes,"
            f" and {held} bytes follow",
            hint="fetch the file again",
        )
    try:
        return np.frombuffer(data, dtype, prod(shape), end).reshape(shape)
    except ValueError as error:  # more dimensions, or empty ones longer, than numpy counts
        raise DataError(f"{path} is not an idx file that can be used: {error}") from error
