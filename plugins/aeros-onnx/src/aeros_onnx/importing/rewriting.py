"""Rewrite graphs from elsewhere so that they can be served: ZipMap outputs, whole graphs.

Each function changes its argument; what was computed before is computed after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from aeros_onnx.traversal import required_inputs, sources

__all__ = [
    "ZipMap",
    "fix_rows",
    "open_empty_dimensions",
    "replace_zip_maps",
    "shapes_stated",
    "state_ranks",
    "wrap_whole",
]

_WHOLE = "aeros.whole."
"""How values are called that lie between the wrapped graph and its new inputs and outputs."""

_INITIALISERS_ARE_NO_INPUTS = 4
"""The version of the format from which initialisers need not be inputs too."""

_AXES_ARE_INPUTS = 13
"""The opset of ai.onnx from which Squeeze and Unsqueeze take their axes as an input."""


@dataclass(frozen=True, slots=True)
class ZipMap:
    """An output that was a list of maps from class to probability.

    Args:
        output: Name of the output.
        labels: Names of the classes, in the order of the tensor's columns.
    """

    output: str
    labels: tuple[str, ...]


def replace_zip_maps(proto: ModelProto) -> list[ZipMap]:
    """Let outputs that a ZipMap makes be the tensor that it was given; return what they were.

    Exporters of scikit-learn, LightGBM and XGBoost end classifiers with a ZipMap.
    """
    nodes = list(proto.graph.node)
    makers = {name: node for node in nodes for name in node.output}
    found = []
    for value in proto.graph.output:
        if (zip_map := _zip_map(makers, value.name)) is None:
            continue
        nodes.remove(makers[value.name])
        nodes.append(helper.make_node("Identity", zip_map.input, [value.name], name=value.name))
        labels = _labels(zip_map)
        value.CopyFrom(
            helper.make_tensor_value_info(value.name, TensorProto.FLOAT, [None, len(labels)])
        )
        found.append(ZipMap(value.name, labels))
    if found:
        _keep_needed(proto, nodes)
    return found


def _zip_map(makers: dict[str, NodeProto], value: str) -> NodeProto | None:
    """Return the ZipMap that makes a value, directly or through Identity nodes."""
    node = makers.get(value)
    for _ in range(len(makers)):
        if node is None or node.op_type != "Identity" or node.domain not in ("", "ai.onnx"):
            break
        node = makers.get(node.input[0]) if node.input else None
    is_zip_map = node is not None and (node.domain, node.op_type) == ("ai.onnx.ml", "ZipMap")
    return node if is_zip_map and node is not None and len(node.input) == 1 else None


def _labels(zip_map: NodeProto) -> tuple[str, ...]:
    held = {attribute.name: attribute for attribute in zip_map.attribute}
    if "classlabels_strings" in held:
        words = held["classlabels_strings"].strings
        return tuple(word.decode("utf-8", "replace") for word in words)
    return tuple(map(str, held["classlabels_int64s"].ints)) if "classlabels_int64s" in held else ()


def _keep_needed(proto: ModelProto, nodes: Sequence[NodeProto]) -> None:
    """Store these nodes without a ZipMap or Identity that nothing needs any more."""
    needed = sources(nodes, [value.name for value in proto.graph.output])
    kept = [
        node
        for number, node in enumerate(nodes)
        if number in needed or node.op_type not in ("ZipMap", "Identity")
    ]
    del proto.graph.node[:]
    proto.graph.node.extend(kept)


def open_empty_dimensions(proto: ModelProto) -> None:
    """Let lengths of 0 in the shapes of inputs and outputs be any length.

    Old exporters write 0 for a length that they do not know; onnxruntime takes it literally.
    """
    for value in (*required_inputs(proto), *proto.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and dim.dim_value <= 0:
                dim.ClearField("dim_value")


@contextmanager
def shapes_stated(proto: ModelProto) -> Iterator[None]:
    """Let outputs without a shape have one meanwhile: onnx asks for it, not onnxruntime."""
    without = [value.type.tensor_type for value in _without_shape(proto)]
    for kind in without:
        kind.shape.SetInParent()
    yield
    for kind in without:
        kind.ClearField("shape")


def state_ranks(proto: ModelProto, ranks: Mapping[str, int]) -> None:
    """Let outputs without a shape have these numbers of dimensions, each of any length."""
    for value in _without_shape(proto):
        value.type.tensor_type.shape.SetInParent()
        for _ in range(ranks[value.name]):
            value.type.tensor_type.shape.dim.add()


def _without_shape(proto: ModelProto) -> list[ValueInfoProto]:
    return [
        value
        for value in proto.graph.output
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape")
    ]


def fix_rows(proto: ModelProto, rows: int) -> None:
    """Let the inputs take this number of rows alone."""
    for value in required_inputs(proto):
        value.type.tensor_type.shape.dim[0].dim_value = rows


def wrap_whole(proto: ModelProto) -> None:
    """Give each input and output a first dimension of 1, so that one row is a whole graph.

    What a graph takes and gives, of any rank, is then one example: its rows never meet those of
    another.
    """
    graph, before, after = proto.graph, [], []
    version = max((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), default=0)
    if not version:
        version = _AXES_ARE_INPUTS
        proto.opset_import.append(helper.make_opsetid("", version))
    axes = ["aeros.first axis"] if version >= _AXES_ARE_INPUTS else []
    if axes:
        proto.ir_version = max(proto.ir_version, _INITIALISERS_ARE_NO_INPUTS)
        graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.int64), axes[0]))
    options: Any = {} if axes else {"axes": [0]}
    inner = _renamed_inside(proto)
    for value in required_inputs(proto):
        before.append(
            helper.make_node("Squeeze", [value.name, *axes], [inner[value.name]], **options)
        )
        _add_dimension(value)
    for value in graph.output:
        after.append(
            helper.make_node("Unsqueeze", [inner[value.name], *axes], [value.name], **options)
        )
        _add_dimension(value)
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)


def _renamed_inside(proto: ModelProto) -> dict[str, str]:
    """Rename inputs and outputs within the graph; return the new names by the old ones."""
    values = (*required_inputs(proto), *proto.graph.output)
    names = {value.name: f"{_WHOLE}{value.name}" for value in values}
    for held in (proto.graph.initializer, proto.graph.value_info):
        for named in held:
            named.name = names.get(named.name, named.name)
    waiting = list(proto.graph.node)
    while waiting:
        node = waiting.pop()
        for edges in (node.input, node.output):
            edges[:] = [names.get(name, name) for name in edges]
        for graph in (g for a in node.attribute for g in (a.g, *a.graphs)):
            waiting += graph.node
            for held in (graph.input, graph.output, graph.initializer, graph.value_info):
                for named in held:
                    named.name = names.get(named.name, named.name)
    return names


def _add_dimension(value: ValueInfoProto) -> None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return
    dims = list(tensor.shape.dim)
    del tensor.shape.dim[:]
    tensor.shape.dim.add(dim_value=1)
    tensor.shape.dim.extend(dims)
