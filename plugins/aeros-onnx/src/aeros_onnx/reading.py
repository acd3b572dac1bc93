"""ONNX files from anywhere: what they hold is looked at closely before anything uses it."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
)

from aeros_core import unpacking
from aeros_core.errors import ConfigError, RepositoryError

__all__ = ["LARGEST", "checked", "parsed", "read", "tensors"]

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


def read(path: Path) -> ModelProto:
    """Return what a file holds, checked.

    Raises:
        RepositoryError: It cannot be read, or is not a whole ONNX file.
        ConfigError: It needs other files, has operators that nobody knows, or a dtype
            that numpy does not have.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(
                f"{path} is larger than an ONNX file can be, {LARGEST:,} bytes",
                hint="bring the parameters as safetensors",
            )
        data = path.read_bytes()
    except OSError as error:
        raise RepositoryError(f"{path} cannot be read: {error.strerror or error}") from error
    return checked(parsed(data, str(path)), str(path), data)


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


def checked(proto: ModelProto, where: str, data: bytes | None = None) -> ModelProto:
    """Return a model that refers to nothing outside, and whose operators are known.

    Args:
        proto: The model.
        where: What it is called in messages.
        data: Its bytes, where they are at hand: making them stops all other threads.

    Raises:
        ConfigError: It needs other files, operators that nobody knows, or odd dtypes.
        RepositoryError: A tensor has not the bytes of its shape, or the graph is not valid.
    """
    try:
        _check(proto, where)
        onnx.checker.check_model(proto if data is None else data)
    except (onnx.checker.ValidationError, RuntimeError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]  # TypeError: a name is no UTF-8
        raise RepositoryError(
            f"{where} is not valid ONNX: {reason}", hint="bring it from its origin again"
        ) from error
    return proto


def _check(proto: ModelProto, where: str) -> None:
    for tensor in tensors(proto):
        _check_tensor(tensor, where)
    for sparse in _sparse(proto):  # onnxruntime fills up what is left out
        name, size = sparse.values.name, prod(max(n, 0) for n in sparse.dims)
        unpacking.check(f"{where}: sparse tensor '{name}'", 8 * size, proto.ByteSize())
    own = {(f.domain, f.name) for f in proto.functions}
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    for node in _nodes(proto):
        _check_node(node, own, opsets, where)


def tensors(proto: ModelProto) -> Iterator[TensorProto]:
    """Yield every tensor: initialisers, and constants of nodes at any depth."""
    for graph in _graphs(proto):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in _nodes(proto):
        for attribute in node.attribute:
            yield from _of(attribute)


def _sparse(proto: ModelProto) -> Iterator[SparseTensorProto]:
    for graph in _graphs(proto):
        yield from graph.sparse_initializer
    for node in _nodes(proto):
        for attribute in node.attribute:
            yield from attribute.sparse_tensors
            if attribute.HasField("sparse_tensor"):
                yield attribute.sparse_tensor


def _of(attribute: AttributeProto) -> Iterator[TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
        yield from (sparse.values, sparse.indices)


def _graphs(proto: ModelProto) -> Iterator[GraphProto]:
    waiting: list[GraphProto | FunctionProto] = [proto.graph, *proto.functions]
    while waiting:
        held = waiting.pop()
        if isinstance(held, GraphProto):
            yield held
        waiting += [inner for node in held.node for inner in _inner(node)]


def _inner(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _nodes(proto: ModelProto) -> Iterator[NodeProto]:
    for graph in _graphs(proto):
        yield from graph.node
    for function in proto.functions:
        yield from function.node


def _check_tensor(tensor: TensorProto, where: str) -> None:
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
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
    size = prod(tensor.dims) if all(n >= 0 for n in tensor.dims) else -1
    if tensor.HasField("raw_data") and len(tensor.raw_data) != size * _WIDTHS[tensor.data_type]:
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
    domain = node.domain or "ai.onnx"
    raise ConfigError(
        f"{where} has an operator {node.op_type} of {domain} that is not known here",
        exists=f"{', '.join(_DOMAINS[1:])} up to opset {onnx.defs.onnx_opset_version()}",
        provider=f"onnx {onnx.__version__}",
        hint="export it with standard operators alone",
    )


def _exists(node: NodeProto, version: int) -> bool:
    domain = "" if node.domain == "ai.onnx" else node.domain
    if not 0 < version < 2**31:
        return False
    return bool(onnx.defs.has(node.op_type, version, domain))
