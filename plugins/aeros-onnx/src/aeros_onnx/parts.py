"""A model in two parts, for inference as a pipeline over several elements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx
from onnx import ModelProto, NodeProto, ValueInfoProto, helper

from aeros_core.errors import ConfigError
from aeros_core.records import Model
from aeros_core.schema import Schema
from aeros_onnx.agreement import agree
from aeros_onnx.graph import field_of, packed
from aeros_onnx.session import Running
from aeros_onnx.writing import written

__all__ = ["layers", "split"]


def split(model: Model, layer: str) -> Sequence[Model]:
    """Return a model as two: up to and with a layer, and what comes after it.

    The first takes what the whole takes, with its transformers, and answers the values
    between the two; the second takes those and answers as the whole does. Both together
    were compared with the whole.

    Args:
        model: The whole.
        layer: A name of `layers`.

    Raises:
        ConfigError: There is no such layer, or the model cannot be parted behind it.
        DataError: The parts do not answer as the whole does.
    """
    whole = written(model)
    cuts = {cut.layer: cut for cut in _cuts(whole)}
    if layer not in cuts:
        raise ConfigError(
            f"model '{model.name}' cannot be split at '{layer}'",
            exists=", ".join(cuts) or "no layer behind which it could be",
            hint=f"aeros models split {model.name} --at {next(iter(cuts), 'LAYER')}",
        )
    first, second = (_part(whole, cuts[layer], number) for number in (1, 2))
    one, two = Running(first), Running(second)
    agree(model.name, model.schema, Running(whole), lambda batch: two(one(batch)))
    return _stage(model, first, 1), _stage(model, second, 2)


def layers(model: Model) -> list[str]:
    """Return the layers behind which a model can be split, in order."""
    return [cut.layer for cut in _cuts(written(model))]


@dataclass(frozen=True, slots=True)
class _Cut:
    layer: str
    nodes: tuple[frozenset[int], frozenset[int]]
    between: tuple[ValueInfoProto, ...]


def _cuts(proto: ModelProto) -> Iterable[_Cut]:
    """Yield each place where values of known shape, one row an example, pass between parts."""
    nodes = list(proto.graph.node)
    typed = onnx.shape_inference.infer_shapes(proto).graph
    values = {v.name: v for v in (*typed.value_info, *typed.input, *typed.output)}
    last = {_layer(node): number for number, node in enumerate(nodes)}
    given = {v.name for v in proto.graph.input} - {t.name for t in proto.graph.initializer}
    answers = {v.name for v in proto.graph.output}
    for layer, number in last.items():
        before = _before(nodes, number)
        after = frozenset(range(len(nodes))) - before
        made = {name for i in before for name in nodes[i].output}
        used = {name for i in after for name in _takes(nodes[i])}
        between = tuple(values[n] for n in sorted(made & used) if n in values)
        whole = len(between) == len(made & used) and all(map(_per_example, between))
        if after and between and whole and not (given & used or answers & made):
            yield _Cut(layer, (before, after), between)


def _layer(node: NodeProto) -> str:
    """Return the layer a node is of: its name, up to the last stroke."""
    name = node.name or next(iter(node.output), "")
    return name.rpartition("/")[0] or name


def _before(nodes: Sequence[NodeProto], number: int) -> frozenset[int]:
    """Return a node and whatever it is computed from."""
    maker = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    found, waiting = set(), [number]
    while waiting:
        if (i := waiting.pop()) not in found:
            found.add(i)
            waiting += [maker[name] for name in _takes(nodes[i]) if name in maker]
    return frozenset(found)


def _takes(node: NodeProto) -> set[str]:
    """Return the values that a node takes, those of graphs within it too."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            names |= {name for held in inner.node for name in _takes(held)}
    return names


def _per_example(value: ValueInfoProto) -> bool:
    dims = value.type.tensor_type.shape.dim
    return (
        bool(dims)
        and not dims[0].HasField("dim_value")
        and all(dim.HasField("dim_value") for dim in list(dims)[1:])
    )


def _part(whole: ModelProto, cut: _Cut, number: int) -> ModelProto:
    graph = whole.graph
    nodes = [node for i, node in enumerate(graph.node) if i in cut.nodes[number - 1]]
    needed = {name for node in nodes for name in _takes(node)}
    return helper.make_model(
        helper.make_graph(
            nodes,
            f"{graph.name}.stage{number}",
            list(graph.input) if number == 1 else list(cut.between),
            list(cut.between) if number == 1 else list(graph.output),
            [tensor for tensor in graph.initializer if tensor.name in needed],
        ),
        opset_imports=whole.opset_import,
        functions=whole.functions,
        ir_version=whole.ir_version,
        producer_name="aeros",
    )


def _stage(model: Model, proto: ModelProto, number: int) -> Model:
    target = model.schema.target
    if number == 1:
        schema = Schema(model.schema.features)
    else:
        last = () if target is None else (model.schema[target],)
        schema = Schema((*map(field_of, proto.graph.input), *last), target)
    return packed(
        proto,
        f"{model.name}.stage{number}",
        schema=schema,
        transformers=model.transformers if number == 1 else {},
        fitted=model.fitted if number == 1 else {},
        inputs=model.inputs if number == 1 else None,
        run=model.run,
        round=model.round,
        versions=model.versions,
        parents=(model.parameters.digest,),
    )
