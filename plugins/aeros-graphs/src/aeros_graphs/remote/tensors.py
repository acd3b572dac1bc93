"""Requests and answers of the Open Inference Protocol v2, as a client writes and reads them.

Their tensors are those of `aeros_core.inference.oip_tensors`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.inference.oip_tensors import DATATYPES, datatype_of, of_raw, to_json, to_raw

__all__ = ["HEADER", "read", "written"]

HEADER = "Inference-Header-Content-Length"


def written(batch: Batch, *, binary: bool) -> tuple[bytes, dict[str, str]]:
    """Return the body of a request, and its headers."""
    inputs, raws = [], []
    for name, column in batch.items():
        array = np.asarray(column)
        told: dict[str, Any] = {"name": name, "shape": list(array.shape)}
        told["datatype"] = datatype_of(array.dtype)
        if binary:
            raws.append(to_raw(array))
            told["parameters"] = {"binary_data_size": len(raws[-1])}
        else:
            told["data"] = to_json(array)
        inputs.append(told)
    asked: dict[str, Any] = {"inputs": inputs}
    if binary:
        asked["parameters"] = {"binary_data_output": True}
    head = json.dumps(asked, separators=(",", ":")).encode()
    if not binary:
        return head, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", HEADER: str(len(head))}
    return b"".join([head, *raws]), headers


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
    """Return an output from JSON; servers write numbers more freely than the protocol says."""
    array: Array = np.array(told["data"], dtype=DATATYPES[told["datatype"]]).reshape(shape)
    return _texts([str(value) for value in array.flat], shape) if array.dtype == object else array


def _of_raw(told: Mapping[str, Any], shape: tuple[int, ...], raw: memoryview) -> Array:
    found = of_raw(f"output {told['name']!r}", told["datatype"], shape, raw)
    if told["datatype"] != "BYTES":
        return found.copy()
    return _texts([text.decode() for text in found.ravel()], shape)


def _texts(texts: list[str], shape: tuple[int, ...]) -> Array:
    """Return texts as they are: an array of fixed width would drop zeros at their end."""
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array.reshape(shape)
