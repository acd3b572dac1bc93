"""A model in two parts, for inference as a pipeline over several elements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import ModelProto, NodeProto, ValueInfoProto, helper

from aeros_core.config import build
from aeros_core.data import Batch
from aeros_core.errors import ConfigError
from aeros_core.plugins import discovery
from aeros_core.records import Model
from aeros_core.roles.transformer import SupportsInverse
from aeros_core.schema import Schema
from aeros_onnx.comparison import compare
from aeros_onnx.export import EXIT, written
from aeros_onnx.graph import field_of, packed
from aeros_onnx.session import OnnxSession
from aeros_onnx.traversal import sources, takes

__all__ = ["layers", "split"]


def split(model: Model, layer: str, *, early: bool = False) -> Sequence[Model]:
    """Return a model as two: up to and with a layer, and what comes after it.

    The first takes what the whole takes, with its transformers, and answers the values
    between the two; the second takes those and answers as the whole does, in the units of
    the target, whose steps go on behind it. Both together were compared with the whole.

    Args:
        model: The whole.
        layer: A name of `layers`.
        early: Whether the first also answers ``scores`` and ``label``, at the model's exit.

    Raises:
        ConfigError: There is no such layer, the model cannot be parted behind it, or has
            no exit before it.
        DataError: The parts do not answer as the whole does.
        PluginError: A step behind the model is not installed here.
    """
    whole = written(model, exits=early)
    cuts = {cut.layer: cut for cut in _cuts(whole)}
    if layer not in cuts:
        raise ConfigError(
            f"model '{model.name}' cannot be split at '{layer}'",
            exists=", ".join(cuts) or "no layer behind which it could be",
            hint=f"aeros models split {model.name} --at {next(iter(cuts), 'LAYER')}",
        )
    cut = cuts[layer]
    if early and not cut.exit:
        raise _no_exit(model, whole, layer, [each.layer for each in cuts.values() if each.exit])
    first, second = _first(whole, cut), _second(whole, cut)
    one, two = OnnxSession(first), OnnxSession(second)

    def staged(batch: Batch) -> Batch:
        between = one(batch)
        way_out = {f"{EXIT}{n}": between[n] for n in one.outputs if n not in two.inputs}
        return {**two({name: between[name] for name in two.inputs}), **way_out}

    compare(model.name, model.schema, OnnxSession(whole), staged, model.samples)
    return _stage(model, first, 1, early=early), _stage(model, second, 2)


def layers(model: Model) -> list[str]:
    """Return the layers behind which a model can be split, in order."""
    return [cut.layer for cut in _cuts(written(model))]


def _no_exit(model: Model, whole: ModelProto, layer: str, behind: Sequence[str]) -> ConfigError:
    if not any(value.name.startswith(EXIT) for value in whole.graph.output):
        return ConfigError(
            f"model '{model.name}' has no exit, so its first stage cannot answer",
            hint="aeros run trainer/model=early_exit trainer.model.at=LAYER",
        )
    return ConfigError(
        f"model '{model.name}' has its exit behind '{layer}', in the second stage",
        exists=", ".join(behind),
        hint=f"aeros models split {model.name} --at {behind[0] if behind else 'LAYER'} --exit",
    )


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where a graph is parted.

    Args:
        layer: The layer it is parted behind.
        before: Numbers of the nodes of the first part.
        after: Those of the second.
        between: What passes from one to the other.
        exit: Those of an early exit that the first part can have too; empty: none.
    """

    layer: str
    before: frozenset[int]
    after: frozenset[int]
    between: tuple[ValueInfoProto, ...]
    exit: frozenset[int]


def _cuts(proto: ModelProto) -> Iterable[_Cut]:
    """Yield each place where values of known shape, one row an example, pass between parts."""
    nodes = list(proto.graph.node)
    typed = onnx.shape_inference.infer_shapes(proto).graph
    values = {v.name: v for v in (*typed.value_info, *typed.input, *typed.output)}
    given = {v.name for v in proto.graph.input} - {t.name for t in proto.graph.initializer}
    early = [v.name for v in proto.graph.output if v.name.startswith(EXIT)]
    answers = {v.name for v in proto.graph.output} - set(early)
    trunk, way_out = sources(nodes, answers), sources(nodes, early)
    last = {_layer(nodes[number]): number for number in sorted(trunk)}
    for layer, number in last.items():
        before = sources(nodes, nodes[number].output)
        after = trunk - before
        made = {name for i in before for name in nodes[i].output}
        used = {name for i in after for name in takes(nodes[i])}
        between = tuple(values[n] for n in sorted(made & used) if n in values)
        whole = len(between) == len(made & used) and all(map(_per_example, between))
        reached = way_out & trunk <= before
        if after and between and whole and not (given & used or answers & made):
            yield _Cut(layer, before, after, between, way_out - trunk if reached else frozenset())


def _layer(node: NodeProto) -> str:
    """Return the layer a node is of: its name, up to the last stroke."""
    name = node.name or next(iter(node.output), "")
    return name.rpartition("/")[0] or name


def _per_example(value: ValueInfoProto) -> bool:
    dims = value.type.tensor_type.shape.dim
    return (
        bool(dims)
        and not dims[0].HasField("dim_value")
        and all(dim.HasField("dim_value") for dim in list(dims)[1:])
    )


def _first(whole: ModelProto, cut: _Cut) -> ModelProto:
    """Return the first part; what an exit answers is called as every answer is."""
    early = [v for v in whole.graph.output if v.name.startswith(EXIT)] if cut.exit else []
    called = {value.name: value.name.removeprefix(EXIT) for value in early}
    nodes = [_renamed(node, called) for node in _some(whole, cut.before | cut.exit)]
    answers = [ValueInfoProto(name=called[v.name], type=v.type) for v in early]
    return _part(whole, "stage1", nodes, whole.graph.input, [*cut.between, *answers])


def _second(whole: ModelProto, cut: _Cut) -> ModelProto:
    answers = [value for value in whole.graph.output if not value.name.startswith(EXIT)]
    return _part(whole, "stage2", _some(whole, cut.after), cut.between, answers)


def _some(whole: ModelProto, numbers: frozenset[int]) -> list[NodeProto]:
    return [node for number, node in enumerate(whole.graph.node) if number in numbers]


def _renamed(node: NodeProto, called: Mapping[str, str]) -> NodeProto:
    made = NodeProto()
    made.CopyFrom(node)
    for names in (made.input, made.output):
        names[:] = [called.get(name, name) for name in names]
    return made


def _part(
    whole: ModelProto,
    name: str,
    nodes: Sequence[NodeProto],
    inputs: Iterable[ValueInfoProto],
    outputs: Iterable[ValueInfoProto],
) -> ModelProto:
    needed = {value for node in nodes for value in takes(node)}
    return helper.make_model(
        helper.make_graph(
            nodes,
            f"{whole.graph.name}.{name}",
            list(inputs),
            list(outputs),
            [tensor for tensor in whole.graph.initializer if tensor.name in needed],
        ),
        opset_imports=whole.opset_import,
        functions=whole.functions,
        ir_version=whole.ir_version,
        producer_name="aeros",
    )


def _stage(model: Model, proto: ModelProto, number: int, *, early: bool = False) -> Model:
    target = model.schema.target
    answers = early or number == 2
    last = (model.schema[target],) if answers and target is not None else ()
    fields = model.schema.features if number == 1 else map(field_of, proto.graph.input)
    steps = list(model.transformers) if number == 1 else _behind(model)
    return packed(
        proto,
        f"{model.name}.stage{number}",
        schema=Schema((*fields, *last), target if last else None),
        transformers={name: model.transformers[name] for name in steps},
        fitted={name: model.fitted[name] for name in steps if name in model.fitted},
        behind=() if number == 1 else tuple(steps),
        inputs=model.inputs if number == 1 else None,
        run=model.run,
        round=model.round,
        versions=model.versions,
        parents=(model.parameters.digest,),
    )


def _behind(model: Model) -> list[str]:
    """Return the transformers that go on behind a model; those of classes leave answers alone."""
    target = model.schema.target
    if target is None or model.schema[target].categories is not None:
        return []
    built = build.build_steps(discovery.discover(), model)
    return [name for name, step in built.items() if isinstance(step, SupportsInverse)]
