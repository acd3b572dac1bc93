"""Batches in the words of the Open Inference Protocol v2, as a client says and reads them.

Binary tensor data extension: little-endian, row-major; an element of BYTES is its length in
four bytes, then itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from aeros_core.data import Batch
from aeros_core.parameters import Array

__all__ = ["HEADER", "read", "written"]

HEADER = "Inference-Header-Content-Length"

_DTYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
_NAMES = {np.dtype(kind): name for name, kind in _DTYPES.items()}


def written(batch: Batch, *, binary: bool) -> tuple[bytes, dict[str, str]]:
    """Return the body of a request, and its headers."""
    inputs, raws = [], []
    for name, column in batch.items():
        array = np.asarray(column)
        told: dict[str, Any] = {"name": name, "shape": list(array.shape)}
        told["datatype"] = _NAMES.get(array.dtype.newbyteorder("<"), "BYTES")
        if binary:
            raws.append(_raw(array))
            told["parameters"] = {"binary_data_size": len(raws[-1])}
        else:
            told["data"] = [_plain(value) for value in array.reshape(-1).tolist()]
        inputs.append(told)
    asked: dict[str, Any] = {"inputs": inputs}
    if binary:
        asked["parameters"] = {"binary_data_output": True}
    head = json.dumps(asked, separators=(",", ":")).encode()
    if not binary:
        return head, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", HEADER: str(len(head))}
    return b"".join([head, *raws]), headers


def _raw(array: Array) -> bytes:
    if array.dtype.kind not in "OUS":
        return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    texts = [v if isinstance(v, bytes) else str(v).encode() for v in array.reshape(-1).tolist()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def _plain(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


def read(body: bytes, length: str | None) -> Batch:
    """Return the outputs of an answer.

    Args:
        body: Its body.
        length: Its header `HEADER`; None: all of it is JSON.

    Raises:
        ValueError: It is not what the protocol says; also LookupError and TypeError.
    """
    end = len(body) if length is None else int(length)
    if not 0 <= end <= len(body):
        raise ValueError("the JSON is longer than the answer")
    rest, outputs = memoryview(body)[end:], {}
    for told in json.loads(body[:end])["outputs"]:
        size = (told.get("parameters") or {}).get("binary_data_size")
        shape = tuple(int(n) for n in told["shape"])
        if size is None:
            outputs[str(told["name"])] = _of_json(told, shape)
            continue
        if not 0 <= int(size) <= len(rest):
            raise ValueError(f"output {told['name']!r} has more bytes than came")
        outputs[str(told["name"])] = _of_raw(told, shape, rest[: int(size)])
        rest = rest[int(size) :]
    return outputs


def _of_json(told: Mapping[str, Any], shape: tuple[int, ...]) -> Array:
    if told["datatype"] == "BYTES":
        return np.array(told["data"], dtype=np.str_).reshape(shape)
    return np.array(told["data"], dtype=_DTYPES[told["datatype"]]).reshape(shape)


def _of_raw(told: Mapping[str, Any], shape: tuple[int, ...], raw: memoryview) -> Array:
    if told["datatype"] != "BYTES":
        return np.frombuffer(raw, _DTYPES[told["datatype"]]).reshape(shape).copy()
    texts, place = [], 0
    while place < len(raw):
        length = int.from_bytes(raw[place : place + 4], "little")
        place += 4 + length
        texts.append(bytes(raw[place - length : place]).decode())
    if len(texts) != prod(shape) or place != len(raw):
        raise ValueError(f"output {told['name']!r} has not the elements of its shape")
    return np.array(texts, dtype=np.str_).reshape(shape)
