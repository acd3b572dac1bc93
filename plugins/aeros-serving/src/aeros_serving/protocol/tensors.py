"""Tensors of requests and answers (`oip_tensors`), with the errors of a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from aeros_core.arrays import Array
from aeros_core.inference import oip_tensors
from aeros_core.inference.oip_tensors import DATATYPES, Buffer, TensorError, UnknownDtype, to_raw
from aeros_serving.protocol.errors import Malformed, Unsupported

__all__ = [
    "DATATYPES",
    "Buffer",
    "count_of",
    "datatype_of",
    "of_json",
    "of_raw",
    "to_json",
    "to_raw",
]


def datatype_of(dtype: np.dtype[Any]) -> str:
    """Return the datatype of arrays of a dtype; text and bytes are BYTES.

    Raises:
        Unsupported: The protocol has none.
    """
    try:
        return oip_tensors.datatype_of(dtype)
    except UnknownDtype as error:
        raise Unsupported(str(error)) from None


def of_raw(name: str, datatype: str, shape: Sequence[int], raw: Buffer) -> Array:
    """Return an input from its raw bytes, in place where it lies aligned.

    Raises:
        Malformed: Datatype, shape and number of bytes do not agree.
    """
    try:
        return oip_tensors.of_raw(f"input '{name}'", datatype, shape, raw)
    except TensorError as error:
        raise Malformed(str(error)) from None


def count_of(name: str, shape: Sequence[Any]) -> int:
    """Return the number of elements of an input.

    Raises:
        Malformed: The shape is none.
    """
    try:
        return oip_tensors.count_of(f"input '{name}'", shape)
    except TensorError as error:
        raise Malformed(str(error)) from None


def of_json(name: str, datatype: str, shape: Sequence[int], data: Any, first: int = 0) -> Array:
    """Return an input from the numbers or texts in JSON, nested or flat.

    Args:
        name: Of the input.
        datatype: Of the input.
        shape: Of the input.
        data: As JSON was read.
        first: Number of the first element, where these are not all.

    Raises:
        Malformed: They are not of the datatype, or too many or too few.
    """
    try:
        return oip_tensors.of_json(f"input '{name}'", datatype, shape, data, first)
    except TensorError as error:
        raise Malformed(str(error)) from None


def to_json(array: Array) -> list[Any]:
    """Return an output's elements as a flat list for JSON.

    Raises:
        Malformed: The elements are bytes that are no text.
    """
    try:
        return oip_tensors.to_json(array)
    except TensorError as error:
        raise Malformed(str(error)) from None
