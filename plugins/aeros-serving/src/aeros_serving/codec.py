"""Requests and answers of the REST protocol: JSON, with the binary tensor data extension."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from aeros_core.parameters import Array
from aeros_serving.contract import PLACE
from aeros_serving.failures import Malformed, TooLarge
from aeros_serving.inference import Output, Request, explain_of, patience
from aeros_serving.served import Served
from aeros_serving.tensors import Buffer, datatype_of, of_json, of_raw, to_json, to_raw

__all__ = ["LENGTH", "encode", "inflated", "packed", "parsed", "request_of"]

LENGTH = "inference-header-content-length"
"""The header that says how much of a body is JSON."""


def inflated(encoding: str, body: Buffer, limit: int) -> Buffer:
    """Return a body without its content encoding.

    Raises:
        Malformed: It is none that is known, or the body is damaged.
        TooLarge: It is larger than the limit.
    """
    if encoding not in ("gzip", "deflate"):
        raise Malformed(f"content-encoding {encoding} is none of gzip, deflate")
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        plain = decoder.decompress(body, limit + 1)
    except zlib.error as error:
        raise Malformed(f"the body is no {encoding}: {error}") from None
    if len(plain) > limit:
        raise TooLarge(f"the body has more than {limit:,} bytes")
    if not decoder.eof:
        raise Malformed(f"the body is no whole {encoding}")
    return plain


def packed(accepted: str, body: Sequence[Buffer]) -> tuple[Sequence[Buffer], str]:
    """Return a body in an encoding that the client accepts, and its name; empty: none."""
    words = [word.partition(";")[0].strip() for word in accepted.split(",")]
    if "gzip" in words:
        return [gzip.compress(b"".join(body), 1)], "gzip"
    if "deflate" in words:
        return [zlib.compress(b"".join(body), 1)], "deflate"
    return body, ""


def parsed(body: Buffer) -> dict[str, Any]:
    """Return the JSON object that a body is.

    Raises:
        Malformed: It is none.
    """
    if not body:
        raise Malformed("the request is empty, and its body has to be a JSON object")
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the request is no JSON: {error}") from None
    if not isinstance(data, dict):
        raise Malformed("the request is no JSON object")
    return data


def request_of(body: Buffer, length: str | None) -> Request:
    """Return the request for an inference that a body holds.

    Args:
        body: JSON, and perhaps binary data behind it.
        length: Bytes of the JSON, as the header says; None: the whole body.

    Raises:
        Malformed: It is not what the protocol asks for; what is wrong with single inputs
            is kept in ``bad`` instead.
    """
    size = len(body) if length is None else _size(length, len(body))
    view = memoryview(body)
    head = parsed(view[:size])
    parameters = _parameters(head, "the request")
    id_ = head.get("id", "")
    if not isinstance(id_, str):
        raise Malformed("'id' is a text")
    binary = _flag(parameters, "binary_data_output")
    request = Request(id_, {}, {}, binary=binary)
    _read(request, _objects(head, "inputs"), view[size:])
    if "timeout" in parameters:
        request.timeout = patience(parameters["timeout"])
    request.how = explain_of(parameters)
    if head.get("outputs"):
        request.outputs = [_output(each, binary) for each in _objects(head, "outputs")]
    return request


def _size(length: str, whole: int) -> int:
    if not (length.isascii() and length.isdecimal()) or len(length) > 15:
        raise Malformed(f"{LENGTH} is a number of bytes, not {length!r}")
    if int(length) > whole:
        raise Malformed(f"{LENGTH} is {length}, but the body has {whole} bytes")
    return int(length)


def _read(request: Request, inputs: Sequence[Mapping[str, Any]], binary: memoryview) -> None:
    """Put the inputs into a request, and beside them what is wrong with each."""
    place = 0
    for index, each in enumerate(inputs):
        name, raw = each.get("name"), None
        what = f"input '{name}'" if isinstance(name, str) else f"{PLACE}{index}]"
        if (size := _parameters(each, what).get("binary_data_size")) is not None:
            raw = binary[place : place + _bytes(what, size, len(binary) - place)]
            place += len(raw)
        try:
            _take(request, each, what, raw)
        except Malformed as why:
            request.bad.setdefault(name if isinstance(name, str) else what, str(why))
    if place != len(binary):
        raise Malformed(f"{len(binary) - place} bytes of binary data belong to no input")


def _bytes(what: str, size: Any, left: int) -> int:
    if type(size) is not int or not 0 <= size <= left:
        raise Malformed(f"{what}: binary_data_size is {size}, but {left} bytes are left")
    return size


def _take(request: Request, each: Mapping[str, Any], what: str, raw: memoryview | None) -> None:
    name, datatype, shape = each.get("name"), each.get("datatype"), each.get("shape")
    if not isinstance(name, str) or type(datatype) is not str or not isinstance(shape, list):
        raise Malformed(_lacking(each, what))
    if name in request.datatypes or name in request.bad:
        raise Malformed(f"{what} is there twice")
    if raw is None:
        array = of_json(name, datatype, shape, each.get("data"))
    elif "data" in each:
        raise Malformed(f"{what}: data and binary_data_size are both given")
    else:
        array = of_raw(name, datatype, shape, raw)
    request.tensors[name], request.datatypes[name] = array, datatype


def _lacking(each: Mapping[str, Any], what: str) -> str:
    """Say which parts an input lacks, or has of another kind."""
    kinds = {"name": (str, "text"), "datatype": (str, "text"), "shape": (list, "array")}
    told = [
        f"no {key}" if each.get(key) is None else f"a {key} that is no {word}"
        for key, (kind, word) in kinds.items()
        if not isinstance(each.get(key), kind)
    ]
    return f"{what} has {' and '.join(told)}"


def _objects(head: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = head.get(key)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Malformed(f"'{key}' is an array of objects")
    return found


def _parameters(owner: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    parameters = owner.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise Malformed(f"'parameters' of {what} is an object")
    if "shared_memory_region" in parameters:
        raise Malformed(f"{what}: shared memory is not supported")
    return parameters


def _flag(parameters: Mapping[str, Any], name: str, otherwise: bool = False) -> bool:
    value = parameters.get(name, otherwise)
    if not isinstance(value, bool):
        raise Malformed(f"parameter '{name}' is true or false")
    return value


def _output(each: Mapping[str, Any], binary: bool) -> Output:
    name = each.get("name")
    if not isinstance(name, str):
        raise Malformed("an output that is asked for has a name")
    parameters = _parameters(each, f"output '{name}'")
    classes = parameters.get("classification", 0)
    if type(classes) is not int or classes < 0:
        raise Malformed(f"output '{name}': classification is a number of classes")
    return Output(name, _flag(parameters, "binary_data", binary), classes)


def encode(
    request: Request, served: Served, outputs: Sequence[tuple[Output, Array]]
) -> tuple[list[Buffer], dict[str, str | int]]:
    """Return the body of an answer, and its headers.

    Raises:
        Malformed: An output cannot be said in JSON.
    """
    told: list[dict[str, Any]] = []
    raw: list[Buffer] = []
    for output, array in outputs:
        tensor: dict[str, Any] = {
            "name": output.name,
            "datatype": datatype_of(array.dtype),
            "shape": list(array.shape),
        }
        if output.binary:
            raw.append(to_raw(array))
            tensor["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            tensor["data"] = _plain(array)
        told.append(tensor)
    head: dict[str, Any] = {
        "model_name": served.name,
        "model_version": str(served.version),
        "outputs": told,
    }
    if request.id:
        head["id"] = request.id
    text = orjson.dumps(head, option=orjson.OPT_SERIALIZE_NUMPY)
    if not raw:
        return [text], {}
    return [text, *raw], {LENGTH: len(text), "content-type": "application/octet-stream"}


def _plain(array: Array) -> Any:
    """Return what orjson writes: numbers as they lie, or a list."""
    if array.dtype.kind in "biuf" and array.dtype.isnative and array.itemsize > 2:
        return array.ravel()
    return to_json(array)
