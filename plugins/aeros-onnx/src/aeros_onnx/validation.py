"""ONNX files from anywhere: what they hold is looked at closely before anything uses it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, NodeProto, TensorProto, helper

from aeros_core.arrays import Array
from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.files import decompression
from aeros_onnx.traversal import element_count, every_node, is_external, sparse_tensors, tensors

__all__ = ["LARGEST", "checked", "opened", "parsed", "read"]

LARGEST = 2**31 - 1
"""Bytes of a file: what protobuf can hold."""

_WIDTHS: dict[int, int] = {
    TensorProto.FLOAT: 4, TensorProto.DOUBLE: 8, TensorProto.FLOAT16: 2, TensorProto.BOOL: 1,
    TensorProto.INT8: 1, TensorProto.INT16: 2, TensorProto.INT32: 4, TensorProto.INT64: 8,
    TensorProto.UINT8: 1, TensorProto.UINT16: 2, TensorProto.UINT32: 4, TensorProto.UINT64: 8,
    TensorProto.COMPLEX64: 8, TensorProto.COMPLEX128: 16,
}  # fmt: skip
"""Bytes of an element, of the dtypes that numpy has too."""

_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")

_RUNTIME = "com.microsoft"
"""The domain of the operators that onnxruntime has besides the standard ones."""

_OPENS_FILES = {"EPContext"}
"""Those of them that read other files, or run what they hold."""


def read(path: Path) -> ModelProto:
    """Return what a file holds, checked.

    Raises:
        RepositoryError: It cannot be read, or is not a whole ONNX file.
        ConfigError: It needs other files, has operators that nobody knows, or a dtype
            that numpy does not have.
    """
    proto, data = opened(path)
    return checked(proto, str(path), data)


def opened(path: Path) -> tuple[ModelProto, bytes]:
    """Return what a file holds, unchecked, and its bytes.

    Raises:
        RepositoryError: It cannot be read, or is not a whole ONNX file.
        ConfigError: It is larger than an ONNX file can be.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(
                f"{path} is larger than an ONNX file can be, {LARGEST:,} bytes",
                hint="save it again: onnx.save(MODEL, FILE, save_as_external_data=True)",
            )
        data = path.read_bytes()
    except OSError as error:
        raise RepositoryError(f"{path} cannot be read: {error.strerror or error}") from error
    return parsed(data, str(path)), data


def parsed(data: bytes, where: str) -> ModelProto:
    """Return the model of these bytes.

    Raises:
        RepositoryError: They are none, or a part of one.
    """
    try:
        proto = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, RecursionError) as error:
        raise RepositoryError(
            f"{where} is no whole ONNX file", hint="bring it from its origin again"
        ) from error
    if not (proto.graph.node and proto.graph.output and proto.opset_import):
        raise RepositoryError(
            f"{where} is no whole ONNX file: it has no graph",
            hint="bring it from its origin again",
        )
    return proto


def checked(
    proto: ModelProto,
    where: str,
    data: bytes | None = None,
    weights: Mapping[str, Array] | None = None,
) -> ModelProto:
    """Return a model that refers to nothing outside, and whose operators are known.

    Args:
        proto: The model.
        where: What it is called in messages.
        data: Its bytes, where they are at hand: making them stops all other threads.
        weights: Initialisers that are no part of it, by name.

    Raises:
        ConfigError: It needs other files, operators that nobody knows, or odd dtypes.
        RepositoryError: A tensor has not the bytes of its shape, or the graph is not valid.
    """
    try:
        _check(proto, where)
        onnx.checker.check_model(
            _with_inputs(proto, weights) if weights else proto if data is None else data
        )
    except (onnx.checker.ValidationError, RuntimeError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]  # TypeError: a name is no UTF-8
        raise RepositoryError(
            f"{where} is not valid ONNX: {reason}", hint="bring it from its origin again"
        ) from error
    return proto


def _with_inputs(proto: ModelProto, weights: Mapping[str, Array]) -> ModelProto:
    """Return a model that is given what it has no initialiser for."""
    whole = ModelProto()
    whole.CopyFrom(proto)
    there = {value.name for value in proto.graph.input}
    for name, array in weights.items():
        if name not in there:
            kind = helper.np_dtype_to_tensor_dtype(array.dtype.newbyteorder("="))
            value = helper.make_tensor_value_info(name, kind, array.shape)
            whole.graph.input.append(value)
    return whole


def _check(proto: ModelProto, where: str) -> None:
    for tensor in tensors(proto):
        _check_tensor(tensor, where)
    for sparse in sparse_tensors(proto):  # onnxruntime fills up what is left out
        name, size = sparse.values.name, prod(max(n, 0) for n in sparse.dims)
        decompression.check(f"{where}: sparse tensor '{name}'", 8 * size, proto.ByteSize())
    own = {(f.domain, f.name) for f in proto.functions}
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    for node in every_node(proto):
        _check_node(node, own, opsets, where)


def _check_tensor(tensor: TensorProto, where: str) -> None:
    if is_external(tensor):
        raise ConfigError(
            f"{where} keeps tensor '{tensor.name}' in another file, which is not opened",
            hint="save it as one file: onnx.save(onnx.load(FILE), OTHER)",
        )
    if tensor.data_type in (TensorProto.STRING, TensorProto.UNDEFINED):
        return
    if tensor.data_type not in _WIDTHS:
        known = TensorProto.DataType.Name
        name = known(tensor.data_type) if tensor.data_type in TensorProto.DataType.values() else "?"
        raise ConfigError(
            f"{where}: tensor '{tensor.name}' is of dtype {name.lower()}, which numpy has not",
            exists=", ".join(known(kind).lower() for kind in _WIDTHS),
            hint="convert it where it comes from, to float32 for instance",
        )
    size = element_count(tensor)
    raw = len(tensor.raw_data) if tensor.HasField("raw_data") else None
    if size < 0 or raw not in (None, size * _WIDTHS[tensor.data_type]):
        raise RepositoryError(
            f"{where}: tensor '{tensor.name}' has not the bytes of its shape {list(tensor.dims)}",
            hint="bring it from its origin again",
        )
    if not tensor.HasField("raw_data") and size > tensor.ByteSize():
        raise RepositoryError(
            f"{where}: tensor '{tensor.name}' has not the values of its shape {list(tensor.dims)}",
            hint="bring it from its origin again",
        )


def _check_node(
    node: NodeProto, own: set[tuple[str, str]], opsets: dict[str, int], where: str
) -> None:
    if (node.domain, node.op_type) in own:
        return
    version = opsets.get(node.domain, opsets.get("ai.onnx" if not node.domain else "", 0))
    if node.domain in _DOMAINS and _exists(node, version):
        return
    if node.domain == _RUNTIME and node.op_type in _of_the_runtime():
        return
    domain = node.domain or "ai.onnx"
    raise ConfigError(
        f"{where} has an operator {node.op_type} of {domain} that is not known here",
        exists=f"{', '.join(_DOMAINS[1:])} up to opset {onnx.defs.onnx_opset_version()}, and"
        f" {_RUNTIME} of onnxruntime",
        provider=f"onnx {onnx.__version__}",
        hint="export it with standard operators alone",
    )


def _exists(node: NodeProto, version: int) -> bool:
    domain = "" if node.domain == "ai.onnx" else node.domain
    if not 0 < version < 2**31:
        return False
    return bool(onnx.defs.has(node.op_type, version, domain))


@cache
def _of_the_runtime() -> frozenset[str]:
    """Return the names of the operators that onnxruntime itself has; empty where it keeps none."""
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    schemas: list[Any] = getattr(runtime, "get_all_operator_schema", list)()
    return frozenset(s.name for s in schemas if s.domain == _RUNTIME) - _OPENS_FILES
