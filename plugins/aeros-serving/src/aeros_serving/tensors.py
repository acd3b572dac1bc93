"""Tensors of the Open Inference Protocol and numpy's arrays: raw bytes, JSON, types.

Binary tensor data extension: little-endian, row-major, without padding; an element of
BYTES is its length in four bytes, then itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np

from aeros_core.parameters import Array
from aeros_serving.failures import Malformed, Unsupported

__all__ = ["DATATYPES", "Buffer", "datatype_of", "of_json", "of_raw", "to_json", "to_raw"]

Buffer: TypeAlias = bytes | bytearray | memoryview

DATATYPES = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BF16": np.dtype("<f4"),
    "BYTES": np.dtype(object),
}
"""numpy's dtype of each datatype; BF16 becomes float32, of which it is the upper half."""

_NAMES = {dtype: name for name, dtype in DATATYPES.items() if name != "BF16"}
_KINDS = {"b": "booleans", "i": "integers", "u": "integers", "f": "numbers", "O": "texts"}
_NO_JSON = ("FP16", "BF16")

_DIMENSIONS = 32
"""Dimensions of a tensor; numpy has as many, or more."""


def datatype_of(dtype: np.dtype[Any]) -> str:
    """Return the datatype of arrays of a dtype; text and bytes are BYTES.

    Raises:
        Unsupported: The protocol has none.
    """
    if dtype.kind in "USTO":
        return "BYTES"
    if (name := _NAMES.get(dtype.newbyteorder("<"))) is None:
        raise Unsupported(f"arrays of {dtype} have no datatype in the protocol")
    return name


def _known(name: str, datatype: str) -> np.dtype[Any]:
    try:
        return DATATYPES[datatype]
    except (KeyError, TypeError):
        told = ", ".join(DATATYPES)
        raise Malformed(f"input '{name}': datatype {datatype} is none of {told}") from None


def _count(name: str, shape: Sequence[Any]) -> int:
    if len(shape) > _DIMENSIONS:
        raise Malformed(
            f"input '{name}': {len(shape)} dimensions, and at most {_DIMENSIONS} can be"
        )
    for length in shape:
        if type(length) is not int or not 0 <= length < 2**40:
            raise Malformed(f"input '{name}': shape {list(shape)} has lengths that cannot be")
    if 0 in shape and prod(length or 1 for length in shape) >= 2**40:
        raise Malformed(f"input '{name}': shape {list(shape)} has lengths that cannot be")
    return prod(shape)


def of_raw(name: str, datatype: str, shape: Sequence[int], raw: Buffer) -> Array:
    """Return a tensor from its raw bytes, in place where it lies aligned.

    Raises:
        Malformed: Datatype, shape and number of bytes do not go together.
    """
    dtype, count = _known(name, datatype), _count(name, shape)
    if datatype == "BYTES":
        return _strings(name, count, raw).reshape(tuple(shape))
    width = 2 if datatype == "BF16" else dtype.itemsize
    if len(raw) != count * width:
        raise Malformed(
            f"input '{name}': {len(raw)} bytes of data, but {datatype} {list(shape)}"
            f" takes {count * width}"
        )
    if datatype == "BF16":
        wide = np.frombuffer(raw, "<u2").astype("<u4") << np.uint32(16)
        return wide.view("<f4").reshape(tuple(shape))
    if datatype == "BOOL":
        flags: Array = np.frombuffer(raw, np.uint8) != 0
        return flags.reshape(tuple(shape))
    array: Array = np.frombuffer(raw, dtype).reshape(tuple(shape))
    return array if array.flags.aligned else array.copy()


def _strings(name: str, count: int, raw: Buffer) -> Array:
    if count > len(raw) // 4:
        raise Malformed(f"input '{name}': {len(raw)} bytes cannot hold {count} elements of BYTES")
    view, found, place = memoryview(raw), np.empty(count, dtype=object), 0
    for index in range(count):
        length = int.from_bytes(view[place : place + 4], "little")
        place += 4 + length
        if place > len(view):
            raise Malformed(f"input '{name}': element {index} of BYTES ends beyond the data")
        found[index] = bytes(view[place - length : place])
    if place != len(view):
        raise Malformed(
            f"input '{name}': {len(view) - place} bytes too many after {count} of BYTES"
        )
    return found


def of_json(name: str, datatype: str, shape: Sequence[int], data: Any) -> Array:
    """Return a tensor from the numbers or texts in JSON, nested or flat.

    Raises:
        Malformed: They are not of the datatype, or too many or too few.
    """
    dtype, count = _known(name, datatype), _count(name, shape)
    if datatype in _NO_JSON:
        raise Malformed(
            f"input '{name}': {datatype} cannot be sent in JSON, send it as binary data"
        )
    if not isinstance(data, list):
        raise Malformed(f"input '{name}': data must be an array")
    array = _array(name, datatype, data) if data else np.empty(0, dtype)
    if array.size != count:
        raise Malformed(
            f"input '{name}': {array.size} elements of data, but shape {list(shape)} has {count}"
        )
    return _converted(name, datatype, array, dtype).reshape(tuple(shape))


def _array(name: str, datatype: str, data: list[Any]) -> Array:
    try:
        if datatype == "BYTES":
            return np.array([_text(name, value) for value in _flat(data)], dtype=object)
        array: Array = np.array(data)
    except (ValueError, OverflowError) as error:
        raise Malformed(f"input '{name}': rows of data are of different lengths") from error
    return array


def _flat(data: Any) -> list[Any]:
    while data and isinstance(data[0], list):
        if not all(isinstance(row, list) for row in data):
            raise ValueError
        data = [value for row in data for value in row]
    return list(data)


def _text(name: str, value: Any) -> bytes:
    if not isinstance(value, str):
        raise Malformed(f"input '{name}': BYTES are texts in JSON, not {value!r}")
    return value.encode()


def _converted(name: str, datatype: str, array: Array, dtype: np.dtype[Any]) -> Array:
    """Return the array in its dtype; JSON says nothing of widths, so values are looked at."""
    if array.dtype == dtype:
        return array
    kind, wanted = array.dtype.kind, dtype.kind
    if array.size and not (
        (wanted == "b" and kind == "b")
        or (wanted in "iu" and kind in "iu" and _within(array, dtype))
        or (wanted == "f" and kind in "iuf")
    ):
        raise Malformed(f"input '{name}': data are not {_KINDS[wanted]} that {datatype} can hold")
    try:
        with np.errstate(over="raise"):
            return array.astype(dtype)
    except FloatingPointError:
        bad = array[~np.isfinite(_rounded(array, dtype))][0]
        told = f"input '{name}': {bad:g} is out of the range of {datatype}"
        raise Malformed(told) from None


def _rounded(array: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore"):
        return array.astype(dtype)


def _within(array: Array, dtype: np.dtype[Any]) -> bool:
    span = np.iinfo(dtype)
    return span.min <= int(array.min()) and int(array.max()) <= span.max


def to_raw(array: Array) -> Buffer:
    """Return the raw bytes of a tensor, as they lie where they lie right."""
    if array.dtype.kind in "USTO":
        parts = [_encoded(value) for value in array.ravel()]
        return b"".join(len(part).to_bytes(4, "little") + part for part in parts)
    whole = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return whole.reshape(-1).view(np.uint8).data


def _encoded(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def to_json(array: Array) -> list[Any]:
    """Return a tensor's elements as a flat list for JSON.

    Raises:
        Malformed: The elements are bytes that are no text.
    """
    if array.dtype.kind in "USTO":
        try:
            return [_encoded(value).decode() for value in array.ravel()]
        except UnicodeDecodeError:
            raise Malformed("an output holds bytes that are no text: ask for binary data") from None
    return array.ravel().tolist()
