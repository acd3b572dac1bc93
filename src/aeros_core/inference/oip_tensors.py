"""Tensors of the Open Inference Protocol and numpy's arrays: raw bytes, JSON, types.

Binary tensor data extension: little-endian, row-major, without padding; an element of
BYTES is its length in four bytes, then itself. Servers and clients use the same functions;
``what`` names a tensor in messages, such as ``input 'x'``.

Specification: https://github.com/kserve/open-inference-protocol
"""

from __future__ import annotations

import reprlib
import struct
from collections.abc import Mapping, Sequence
from itertools import chain
from math import prod
from typing import Any, TypeAlias

import numpy as np

from aeros_core.arrays import Array

__all__ = [
    "DATATYPES",
    "Buffer",
    "TensorError",
    "UnknownDtype",
    "count_of",
    "datatype_of",
    "of_json",
    "of_raw",
    "to_json",
    "to_raw",
]

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
_KINDS = {
    "b": "true or false",
    "i": "an integer",
    "u": "an integer",
    "f": "a number",
    "O": "a text",
}
_TYPES: Mapping[str, set[type]] = {
    "b": {bool},
    "i": {int},
    "u": {int},
    "f": {int, float},
    "O": {str},
}
"""Python's types of the elements in JSON, by the kind of the dtype; a bool is not an int here."""

_NO_JSON = ("FP16", "BF16")

_DIMENSIONS = 32
"""Dimensions of a tensor; numpy has as many, or more."""

_PIECE = 65536
"""Elements converted at once: other threads may run in between, every few milliseconds."""

_LENGTH = struct.Struct("<I")


class TensorError(ValueError):
    """Datatype, shape and data of a tensor do not agree."""


class UnknownDtype(ValueError):
    """The protocol has no datatype for arrays of a dtype."""


def datatype_of(dtype: np.dtype[Any]) -> str:
    """Return the datatype of arrays of a dtype; text and bytes are BYTES.

    Raises:
        UnknownDtype: The protocol has none.
    """
    if dtype.kind in "USTO":
        return "BYTES"
    if (name := _NAMES.get(dtype.newbyteorder("<"))) is None:
        raise UnknownDtype(f"arrays of {dtype} have no datatype in the protocol")
    return name


def _known(what: str, datatype: str) -> np.dtype[Any]:
    try:
        return DATATYPES[datatype]
    except (KeyError, TypeError):
        told = ", ".join(DATATYPES)
        given = datatype if isinstance(datatype, str) and len(datatype) <= 20 else _shown(datatype)
        raise TensorError(f"{what}: datatype {given} is none of {told}") from None


def count_of(what: str, shape: Sequence[Any]) -> int:
    """Return the number of elements of a shape.

    Raises:
        TensorError: It is none.
    """
    if len(shape) > _DIMENSIONS:
        raise TensorError(f"{what}: {len(shape)} dimensions, and at most {_DIMENSIONS} can be")
    for length in shape:
        if type(length) is not int or not 0 <= length < 2**40:
            raise TensorError(f"{what}: shape holds {_shown(length)}, which is not a length")
    if prod(length or 1 for length in shape) >= 2**48:
        raise TensorError(f"{what}: shape {list(shape)} is too large")
    return prod(shape)


def of_raw(what: str, datatype: str, shape: Sequence[int], raw: Buffer) -> Array:
    """Return a tensor from its raw bytes, in place where it lies aligned.

    Raises:
        TensorError: Datatype, shape and number of bytes do not go together.
    """
    dtype, count = _known(what, datatype), count_of(what, shape)
    if datatype == "BYTES":
        return _strings(what, count, raw).reshape(tuple(shape))
    width = 2 if datatype == "BF16" else dtype.itemsize
    if len(raw) != count * width:
        raise TensorError(
            f"{what}: {len(raw)} bytes of data, but {datatype} {list(shape)} takes {count * width}"
        )
    if datatype == "BF16":
        wide = np.frombuffer(raw, "<u2").astype("<u4") << np.uint32(16)
        return wide.view("<f4").reshape(tuple(shape))
    if datatype == "BOOL":
        flags: Array = np.frombuffer(raw, np.uint8) != 0
        return flags.reshape(tuple(shape))
    array: Array = np.frombuffer(raw, dtype).reshape(tuple(shape))
    return array if array.flags.aligned else array.copy()


def _strings(what: str, count: int, raw: Buffer) -> Array:
    if count > len(raw) // 4:
        raise TensorError(f"{what}: {len(raw)} bytes cannot hold {count} elements of BYTES")
    view, found, place = memoryview(raw), np.empty(count, dtype=object), 0
    for index in range(count):
        end = place + 4
        length = _LENGTH.unpack_from(view, place)[0] if end <= len(view) else len(view)
        place = end + length
        if place > len(view):
            raise TensorError(f"{what}: element {index} of BYTES ends beyond the data")
        found[index] = bytes(view[end:place])
    if place != len(view):
        raise TensorError(f"{what}: {len(view) - place} bytes too many after {count} of BYTES")
    return found


def of_json(what: str, datatype: str, shape: Sequence[int], data: Any, first: int = 0) -> Array:
    """Return a tensor from the numbers or texts in JSON, nested as its shape says, or flat.

    Args:
        what: Names the tensor in messages.
        datatype: Its datatype.
        shape: Its shape.
        data: As JSON was read.
        first: Number of the first element, for messages about a part of a tensor.

    Raises:
        TensorError: They are not of the datatype, or too many or too few, or nested otherwise.
    """
    dtype, count = _known(what, datatype), count_of(what, shape)
    if datatype in _NO_JSON:
        raise TensorError(f"{what}: {datatype} cannot be sent in JSON, send it as binary data")
    if not isinstance(data, list):
        raise TensorError(f"{what}: data must be an array")
    values = _flat(what, shape, data)
    if len(values) != count:
        raise TensorError(
            f"{what}: {len(values)} elements of data, but shape {list(shape)} has {count}"
        )
    if count <= _PIECE:
        return _converted(what, datatype, dtype, values, first).reshape(tuple(shape))
    array = np.empty(count, dtype)
    for start in range(0, count, _PIECE):
        piece = values[start : start + _PIECE]
        array[start : start + len(piece)] = _converted(what, datatype, dtype, piece, first + start)
    return array.reshape(tuple(shape))


def _flat(what: str, shape: Sequence[int], data: list[Any]) -> list[Any]:
    """Return the elements of data that are flat, or nested as a shape says."""
    if not data or type(data[0]) is not list:
        return data
    rows: list[Any] = [data]
    for length in shape:
        for row in rows:
            if type(row) is not list:
                raise TensorError(f"{what}: data mixes arrays and single values")
            if len(row) != length:
                told = f"an array of {len(row)} elements, but shape {list(shape)} has {length}"
                raise TensorError(f"{what}: nested data holds {told} there")
        rows = list(chain.from_iterable(rows))
    return rows


def _converted(
    what: str, datatype: str, dtype: np.dtype[Any], values: list[Any], start: int
) -> Array:
    """Return elements of JSON, the first of them number ``start``, in a dtype."""
    kind = dtype.kind
    try:
        if set(map(type, values)) <= _TYPES[kind]:
            if kind == "O":
                return _object_array([value.encode() for value in values])
            if kind != "f":
                return np.array(values, dtype)
            wide = np.array(values, np.float64)
            with np.errstate(over="raise"):
                return wide.astype(dtype)
    except (OverflowError, FloatingPointError):
        pass
    place, why = _culprit(values, dtype, datatype)
    given = _shown(values[place])
    raise TensorError(f"{what}: element {start + place} of data is {given}, {why}")


def _object_array(values: list[Any]) -> Array:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _culprit(values: list[Any], dtype: np.dtype[Any], datatype: str) -> tuple[int, str]:
    """Return which of some elements is not of a datatype, and why not."""
    kinds = _TYPES[dtype.kind]
    for place, value in enumerate(values):
        if type(value) not in kinds:
            return place, f"not {_KINDS[dtype.kind]}"
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    low, high = (np.asarray(limit, dtype).item() for limit in (limits.min, limits.max))
    outside = (place for place, value in enumerate(values) if not low <= value <= high)
    return next(outside), f"out of the range of {datatype}"


def _shown(value: Any) -> str:
    """Return a JSON value in a few characters, however large or deep it is."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | dict):
        return "an array" if isinstance(value, list) else "an object"
    return reprlib.repr(value)


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
        TensorError: The elements are bytes that are no text.
    """
    if array.dtype.kind in "USTO":
        try:
            return [_encoded(value).decode() for value in array.ravel()]
        except UnicodeDecodeError:
            raise TensorError(
                "an output holds bytes that are no text: ask for binary data"
            ) from None
    return array.ravel().tolist()
