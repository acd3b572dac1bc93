"""Requests and answers of the REST protocol: JSON, with the binary tensor data extension."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson

from aeros_core.arrays import Array
from aeros_serving.config import NonFinite
from aeros_serving.models.version import LoadedVersion
from aeros_serving.protocol.errors import Malformed, Refused, TooLarge, shown
from aeros_serving.protocol.input_schema import PLACE
from aeros_serving.protocol.numbers import finite
from aeros_serving.protocol.tensors import Buffer, datatype_of, of_json, of_raw, to_json, to_raw
from aeros_serving.requests import LARGE, Output, Request, explain_of, patience, refuse_sequence
from aeros_serving.rest.large_arrays import LargeArrays

__all__ = ["LENGTH", "NON_FINITE", "cost", "encode", "parsed", "request_of"]

LENGTH = "inference-header-content-length"
"""The header that says how much of a body is JSON."""

NON_FINITE = "aeros-non-finite"
"""The header that names the outputs with NaN or infinity, which are null in JSON."""

WHOLE = 2**19
"""Bytes of JSON that are parsed at once, in which no other thread runs: a few milliseconds."""

_NO_NUMBER = re.compile(r"-?(NaN|Infinity|inf|nan)")
"""Numbers that Python and JavaScript write, and JSON has not."""


def parsed(body: Buffer) -> dict[str, Any]:
    """Return the JSON object that the body of a request to the repository is.

    Raises:
        Malformed: It is none.
        TooLarge: It is larger than such a request has to be.
    """
    if len(body) > LARGE:
        raise TooLarge(f"the body has {len(body)} bytes, and such a request at most {LARGE}")
    return _object(body)


def _object(body: Buffer) -> dict[str, Any]:
    if not body:
        raise Malformed("the request is empty, and its body has to be a JSON object")
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        number = _NO_NUMBER.match(error.doc, error.pos)
        more = f"; {number[0]} is not JSON" if number else ""
        raise Malformed(f"the request is no JSON: {error}{more}") from None
    if not isinstance(data, dict):
        raise Malformed("the request is no JSON object")
    return data


def cost(body: Buffer, length: str | None) -> int:
    """Return what decoding and checking a request costs, see `requests.LARGE`.

    Args:
        body: See `request_of`.
        length: See `request_of`.
    """
    whole = len(body)
    if length is None or not length.isdecimal() or len(length) > 15:
        return whole
    head = min(int(length), whole)
    if head > LARGE:
        return whole
    text = bytes(memoryview(body)[:head])  # an escape may hide what the datatype is
    texts = b"BYTES" in text or b"\\" in text
    return head + (whole - head if texts else (whole - head) // 16)


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
    large = LargeArrays(bytes(view[:size])) if size > WHOLE else None
    head = _object(view[:size] if large is None else large.rest)
    parameters = _parameters(head, "the request")
    id_ = head.get("id", "")
    if not isinstance(id_, str):
        raise Malformed("'id' is a text")
    binary = _flag(parameters, "binary_data_output")
    request = Request(id_, {}, {}, binary=binary)
    _read(request, _objects(head, "inputs"), view[size:], large)
    if "timeout" in parameters:
        request.timeout = patience(parameters["timeout"])
    refuse_sequence(parameters)
    request.how = explain_of(parameters)
    if head.get("outputs"):
        request.ask([_output(each, binary) for each in _objects(head, "outputs")])
    return request


def _size(length: str, whole: int) -> int:
    if not (length.isascii() and length.isdecimal()) or len(length) > 15:
        raise Malformed(f"{LENGTH} is a number of bytes, not {length!r}")
    if int(length) > whole:
        raise Malformed(f"{LENGTH} is {length}, but the body has {whole} bytes")
    return int(length)


def _read(
    request: Request,
    inputs: Sequence[Mapping[str, Any]],
    binary: memoryview,
    large: LargeArrays | None,
) -> None:
    """Put the inputs into a request, and beside them what is wrong with each."""
    place = 0
    for index, each in enumerate(inputs):
        name, raw = each.get("name"), None
        what = f"input '{name}'" if isinstance(name, str) else f"{PLACE}{index}]"
        if (size := _parameters(each, what).get("binary_data_size")) is not None:
            raw = binary[place : place + _bytes(what, size, len(binary) - place)]
            place += len(raw)
        try:
            _take(request, each, what, raw, large)
        except Malformed as why:
            request.unreadable(name if isinstance(name, str) else what, str(why))
    if place != len(binary):
        raise Malformed(f"{len(binary) - place} bytes of binary data belong to no input")


def _bytes(what: str, size: Any, left: int) -> int:
    if type(size) is not int or not 0 <= size <= left:
        raise Malformed(f"{what}: binary_data_size is {shown(size)}, but {left} bytes are left")
    return size


def _take(
    request: Request,
    each: Mapping[str, Any],
    what: str,
    raw: memoryview | None,
    large: LargeArrays | None,
) -> None:
    name, datatype, shape = each.get("name"), each.get("datatype"), each.get("shape")
    if not isinstance(name, str) or type(datatype) is not str or not isinstance(shape, list):
        raise Malformed(_lacking(each, what))
    if name in request.datatypes or name in request.bad:
        raise Malformed(f"{what} is there twice")
    data = each.get("data")
    taken = None if large is None else large.tensor(name, datatype, shape, data)
    if taken is not None:
        array = taken
    elif raw is None:
        array = of_json(name, datatype, shape, data)
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
    request: Request,
    served: LoadedVersion,
    outputs: Sequence[tuple[Output, Array]],
    non_finite: NonFinite | None = None,
) -> tuple[list[Buffer], dict[str, str | int]]:
    """Return the body of an answer, and its headers.

    Args:
        request: Says what is wanted, and how.
        served: What answered.
        outputs: What is asked for of its answer.
        non_finite: What becomes of NaN and infinity in JSON; None: null, with a header.

    Raises:
        Malformed: An output cannot be said in JSON.
        Refused: It holds NaN or infinity, and these are to be refused.
    """
    told: list[dict[str, Any]] = []
    raw: list[Buffer] = []
    headers: dict[str, str | int] = {}
    if odd := [
        o.name for o, a in outputs if not o.binary and a.dtype.kind == "f" and not finite(a)
    ]:
        headers = _announced(odd, non_finite)
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
        return [text], headers
    headers |= {LENGTH: len(text), "content-type": "application/octet-stream"}
    return [text, *raw], headers


def _announced(names: Sequence[str], non_finite: NonFinite | None) -> dict[str, str | int]:
    """Return the header that names outputs with NaN or infinity.

    Raises:
        Refused: They are to be refused.
    """
    if non_finite is NonFinite.refuse:
        told = ", ".join(f"'{name}'" for name in names)
        raise Refused(f"NaN or infinity in {told}, which JSON does not have: ask for binary data")
    return {NON_FINITE: ", ".join(quote(name) for name in names)}


def _plain(array: Array) -> Any:
    """Return what orjson writes: numbers as they lie, or a list."""
    if array.dtype.kind in "biuf" and array.dtype.isnative and array.itemsize > 2:
        return array.ravel()
    return to_json(array)
