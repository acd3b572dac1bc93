"""Read numpy archives (.npz) that anybody may have written.

numpy itself allocates what a header announces before it looks whether as many bytes follow,
and unpacks whatever a member holds. Here each array is held against the bytes that it has,
and the archive against what a file of its size may become; see `aeros_core.files.decompression`.
Nothing is unpickled.
"""

from __future__ import annotations

import io
import math
import zipfile
from typing import Any

import numpy as np

from aeros_core.arrays import Array
from aeros_core.errors import AerosError
from aeros_core.files import decompression

__all__ = ["read"]

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DIMENSIONS = 32
_HEADER = 2**16
_PIECE = 2**20


def read(data: bytes, path: object) -> dict[str, Array]:
    """Return the arrays of an archive by name.

    Args:
        data: The bytes of the file.
        path: The file, for messages.

    Raises:
        ValueError: It is no archive, is damaged, or holds objects.
        DataError: It takes too much memory.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check(archive, len(data), path)
            return {_name(entry): _array(archive, entry) for entry in archive.infolist()}
    except (AerosError, ValueError):
        raise
    except Exception as error:  # damaged bytes raise errors of a dozen kinds in two libraries
        raise ValueError(_said(error)) from error


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _name(entry: zipfile.ZipInfo) -> str:
    return entry.filename.removesuffix(".npy")


def _check(archive: zipfile.ZipFile, held: int, path: object) -> None:
    """Refuse an archive with two arrays of one name, or larger than it may become."""
    total, seen = 0, set()
    for entry in archive.infolist():
        name = _name(entry)
        if name in seen:
            raise ValueError(f"two arrays are called '{name}'")
        if entry.compress_type not in _METHODS or entry.flag_bits & 1:
            raise ValueError(f"array '{name}' is packed in another way than numpy's are")
        seen.add(name)
        total += entry.file_size
        decompression.check(f"array '{name}' of {path}", entry.file_size, held)
    decompression.check(f"{path} with its {len(seen)} arrays", total, held)


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    name, content = _name(entry), bytearray()
    try:
        with archive.open(entry) as member:
            while piece := member.read(_PIECE):
                content += piece
        shape, by_columns, dtype, start = _header(bytes(content[:_HEADER]))
    except Exception as error:
        raise ValueError(f"array '{name}' is damaged: {_said(error)}") from error
    if dtype.hasobject:
        raise ValueError(f"Object arrays cannot be loaded, and array '{name}' is one")
    held = len(content) - start
    wanted = math.prod(shape) * dtype.itemsize
    if wanted != held or (not wanted and any(shape)) or len(shape) > _DIMENSIONS:
        lengths = " x ".join(map(str, shape)) or "one"
        raise ValueError(
            f"array '{name}' is damaged: its header says {lengths} values of {dtype},"
            f" {decompression.spelled(wanted)}, and {decompression.spelled(held)} follow"
        )
    flat = np.frombuffer(content, dtype, math.prod(shape), start)
    return flat.reshape(shape, order="F" if by_columns else "C")


def _header(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, order and dtype of an array, and where its values begin."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"version {version} of the format is none of numbers and text")
    if any(type(length) is not int or length < 0 for length in shape):
        raise ValueError(f"its header says the shape {shape}")
    return shape, by_columns, dtype, file.tell()
