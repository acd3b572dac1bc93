"""Walk through a graph: what it has to be given, its tensors and nodes, and what needs which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import prod

from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    ValueInfoProto,
)

__all__ = [
    "element_count",
    "every_node",
    "is_external",
    "required_inputs",
    "sources",
    "sparse_tensors",
    "takes",
    "tensors",
]


def sources(nodes: Sequence[NodeProto], values: Iterable[str]) -> frozenset[int]:
    """Return the numbers of the nodes from which values are computed."""
    maker = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    found: set[int] = set()
    waiting = [maker[name] for name in values if name in maker]
    while waiting:
        if (i := waiting.pop()) not in found:
            found.add(i)
            waiting += [maker[name] for name in takes(nodes[i]) if name in maker]
    return frozenset(found)


def takes(node: NodeProto) -> set[str]:
    """Return the values that a node takes, those of graphs within it too."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            names |= {name for held in inner.node for name in takes(held)}
    return names


def required_inputs(proto: ModelProto) -> list[ValueInfoProto]:
    """Return the inputs that have no initialiser, in order."""
    graph = proto.graph
    held = {tensor.name for tensor in graph.initializer}
    held |= {sparse.values.name for sparse in graph.sparse_initializer}
    return [value for value in graph.input if value.name not in held]


def tensors(proto: ModelProto) -> Iterator[TensorProto]:
    """Yield every tensor: initialisers, and constants of nodes at any depth."""
    for graph in _graphs(proto):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in every_node(proto):
        for attribute in node.attribute:
            yield from _of(attribute)


def sparse_tensors(proto: ModelProto) -> Iterator[SparseTensorProto]:
    """Yield every sparse tensor."""
    for graph in _graphs(proto):
        yield from graph.sparse_initializer
    for node in every_node(proto):
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


def every_node(proto: ModelProto) -> Iterator[NodeProto]:
    """Yield the nodes of all graphs, at any depth, and those of functions."""
    for graph in _graphs(proto):
        yield from graph.node
    for function in proto.functions:
        yield from function.node


def element_count(tensor: TensorProto) -> int:
    """Return the number of a tensor's elements; -1 where no array has such a shape."""
    if any(n < 0 for n in tensor.dims) or prod(max(n, 1) for n in tensor.dims) >= 2**59:
        return -1
    return prod(tensor.dims)


def is_external(tensor: TensorProto) -> bool:
    """Whether a tensor lies in another file."""
    return tensor.data_location == TensorProto.EXTERNAL or bool(tensor.external_data)
