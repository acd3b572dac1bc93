"""Requests and answers of the gRPC protocol: typed contents and raw ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aeros_core.arrays import Array
from aeros_serving.grpc.messages import message
from aeros_serving.models.version import LoadedVersion
from aeros_serving.protocol.errors import Malformed
from aeros_serving.protocol.input_schema import PLACE
from aeros_serving.protocol.tensors import DATATYPES, datatype_of, of_raw, to_raw
from aeros_serving.requests import Output, Request, explain_of, patience, refuse_sequence

__all__ = ["cost", "encode", "request_of", "value"]

_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}

_WIDE = {
    "bool_contents": np.dtype("?"),
    "int_contents": np.dtype("<i8"),
    "int64_contents": np.dtype("<i8"),
    "uint_contents": np.dtype("<u8"),
    "uint64_contents": np.dtype("<u8"),
    "fp32_contents": np.dtype("<f4"),
    "fp64_contents": np.dtype("<f8"),
}
"""What holds every value of typed contents."""

_Response: Any = message("ModelInferResponse")


def cost(message: Any) -> int:
    """Return what decoding and checking a ModelInferRequest costs, see `requests.LARGE`."""
    raw = sum(map(len, message.raw_input_contents))
    texts = any(each.datatype == "BYTES" for each in message.inputs)
    rest: int = message.ByteSize() - raw
    return 4 * rest + (raw if texts else raw // 16)


def request_of(message: Any) -> Request:
    """Return what a ModelInferRequest asks for.

    Raises:
        Malformed: It is not what the protocol asks for; what is wrong with single inputs
            is kept in ``bad`` instead.
    """
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise Malformed(f"{len(raw)} raw_input_contents for {len(message.inputs)} inputs")
    request = Request(message.id, {}, {}, binary=bool(raw))
    for index, each in enumerate(message.inputs):
        what = f"input '{each.name}'" if each.name else f"{PLACE}{index}]"
        try:
            _take(request, each, what, raw[index] if raw else None)
        except Malformed as why:
            request.unreadable(each.name or what, str(why))
    request.ask([_output(each, request.binary) for each in message.outputs])
    if "timeout" in message.parameters:
        request.timeout = patience(value(message.parameters["timeout"]))
    if message.parameters:
        told = {name: value(parameter) for name, parameter in message.parameters.items()}
        refuse_sequence(told)
        request.how = explain_of(told)
    return request


def _take(request: Request, each: Any, what: str, raw: bytes | None) -> None:
    name, datatype, shape = each.name, each.datatype, list(each.shape)
    if not name or not datatype:
        told = [f"no {key}" for key in ("name", "datatype") if not getattr(each, key)]
        raise Malformed(f"{what} has {' and '.join(told)}")
    if name in request.datatypes or name in request.bad:
        raise Malformed(f"{what} is there twice")
    _no_memory(each.parameters, what)
    if raw is None:
        array = _typed(name, datatype, shape, each.contents)
    elif each.HasField("contents"):
        raise Malformed(f"{what} has contents beside raw_input_contents")
    else:
        array = of_raw(name, datatype, shape, raw)
    request.tensors[name], request.datatypes[name] = array, datatype


def value(parameter: Any) -> Any:
    """Return what a parameter holds; None: nothing."""
    kind = parameter.WhichOneof("parameter_choice")
    return getattr(parameter, kind) if kind else None


def _no_memory(parameters: Mapping[str, Any], what: str) -> None:
    if "shared_memory_region" in parameters:
        raise Malformed(f"{what}: shared memory is not supported")


def _output(each: Any, binary: bool) -> Output:
    _no_memory(each.parameters, f"output '{each.name}'")
    classes = value(each.parameters["classification"]) if "classification" in each.parameters else 0
    if type(classes) is not int or classes < 0:
        raise Malformed(f"output '{each.name}': classification is a number of classes")
    return Output(each.name, binary, classes)


def _typed(name: str, datatype: str, shape: Sequence[int], contents: Any) -> Array:
    if datatype not in _CONTENTS:
        told = "sent raw" if datatype in DATATYPES else f"one of {', '.join(DATATYPES)}"
        raise Malformed(f"input '{name}': datatype {datatype} has to be {told}")
    filled = {field.name for field, _ in contents.ListFields()}
    if wrong := sorted(filled - {_CONTENTS[datatype]}):
        raise Malformed(
            f"input '{name}': {datatype} goes into {_CONTENTS[datatype]}, not {wrong[0]}"
        )
    values = getattr(contents, _CONTENTS[datatype])
    if datatype == "BYTES":
        parts = b"".join(len(value).to_bytes(4, "little") + value for value in values)
        return of_raw(name, datatype, shape, parts)
    array = np.fromiter(values, _WIDE[_CONTENTS[datatype]], len(values))
    return of_raw(name, datatype, shape, to_raw(_narrowed(name, datatype, array)))


def _narrowed(name: str, datatype: str, array: Array) -> Array:
    dtype = DATATYPES[datatype]
    if dtype.kind in "iu" and array.size and array.dtype != dtype:
        span = np.iinfo(dtype.name)
        if not span.min <= int(array.min()) <= int(array.max()) <= span.max:
            raise Malformed(f"input '{name}': values that {datatype} cannot hold")
    return array.astype(dtype)


def encode(request: Request, served: LoadedVersion, outputs: Sequence[tuple[Output, Array]]) -> Any:
    """Return the ModelInferResponse: raw where the request was raw, typed where it was typed."""
    response = _Response(model_name=served.name, model_version=str(served.version), id=request.id)
    raw = request.binary or any(a.dtype == np.float16 for _, a in outputs)
    for output, array in outputs:
        datatype = datatype_of(array.dtype)
        tensor = response.outputs.add(name=output.name, datatype=datatype, shape=array.shape)
        if raw:
            response.raw_output_contents.append(bytes(to_raw(array)))
        else:
            values = _bytes(array) if datatype == "BYTES" else array.ravel().tolist()
            getattr(tensor.contents, _CONTENTS[datatype]).extend(values)
    return response


def _bytes(array: Array) -> list[bytes]:
    return [v if isinstance(v, bytes) else str(v).encode() for v in array.ravel()]
