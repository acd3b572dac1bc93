"""Modules as ONNX graphs that answer as ``inferencer=torch`` does.

The modules of this package are drawn layer by layer; others go through ``torch.onnx``.
"""

from __future__ import annotations

import functools
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto, TensorProto, helper
from torch import Tensor, nn

from aeros_core.data import Batch
from aeros_core.errors import ConfigError
from aeros_core.records import Model, Module
from aeros_core.schema import Field
from aeros_torch.export.onnx_layers import Nodes, linear, lstm, sequence
from aeros_torch.inference.inferencer import TorchInferencer
from aeros_torch.modules import models
from aeros_torch.modules.builder import build, outputs, target_of
from aeros_torch.modules.early_exit import EarlyExit

__all__ = ["graph"]

OPSET, IR = 20, 10
"""Of what is drawn: read by onnxruntime 1.17 and later."""

CPU = torch.device("cpu")


def graph(model: Model, module: Module) -> tuple[bytes, Callable[[Batch], Batch]] | None:
    """Return a serialised graph, and what answers as it should.

    Args:
        model: The model.
        module: What makes its module.

    Returns:
        None if the module is no ``nn.Module``. What an early exit answers is in outputs of
        its own, ``exit.scores`` and ``exit.label``.

    Raises:
        ConfigError: The parameters are not the module's, or torch cannot write it.
    """
    cls = module.func if isinstance(module, functools.partial) else module
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        return None
    network = build(model.schema, module, CPU, held=model.parameters)
    whole = network.module.eval()
    field, target = model.schema.features[0], target_of(model.schema)
    proto = _drawn(whole, field, target) or _exported(whole, field, target)
    inferencer = TorchInferencer(
        device="cpu", batch_size=512, threads=1, execution="eager", quantise="none"
    )
    inferencer.load(model, module)
    answer: Callable[[Batch], Batch] = inferencer.predict
    if isinstance(whole, EarlyExit):
        answer = _with_exit(answer, whole, field.name)
    return proto.SerializeToString(deterministic=True), answer


def _with_exit(
    answer: Callable[[Batch], Batch], module: EarlyExit, name: str
) -> Callable[[Batch], Batch]:
    def both(batch: Batch) -> Batch:
        with torch.no_grad():
            scores = module.both(torch.from_numpy(batch[name]))[1].softmax(1).numpy()
        return {**answer(batch), "exit.scores": scores, "exit.label": scores.argmax(1)}

    return both


# ---------------------------------------------------------------- layer by layer


def _drawn(module: nn.Module, field: Field, target: Field) -> ModelProto | None:
    trunk = module.trunk if isinstance(module, EarlyExit) else module
    draw = _MODELS.get(type(trunk))
    nodes = Nodes()
    value = None if draw is None else draw(nodes, trunk, field)
    early = _exit(nodes, module) if isinstance(module, EarlyExit) else ""
    if value is None or early is None:
        return None
    answers = _answers(nodes, value, target)
    if early:
        answers += _answers(nodes, early, target, "exit.")
    made = helper.make_graph(
        nodes.nodes,
        type(module).__name__.lower(),
        [helper.make_tensor_value_info(field.name, _kind(field), ["rows", *field.shape])],
        answers,
    )
    opset = [helper.make_opsetid("", OPSET)]
    proto = helper.make_model(made, opset_imports=opset, ir_version=IR, producer_name="aeros")
    proto.graph.initializer.extend(nodes.initialisers.values())  # last: each step is a copy
    return proto


def _exit(nodes: Nodes, module: EarlyExit) -> str | None:
    """Add an exit's layers; None if the layer before it is none that was drawn."""
    if module.at not in nodes.values:
        return None
    flat = nodes.add("Flatten", "exit.flatten", [nodes.values[module.at]])
    return sequence(nodes, module.exit, "exit", flat)


def _answers(nodes: Nodes, value: str, target: Field, prefix: str = "") -> list[Any]:
    width = outputs(target)
    floats, numbers = TensorProto.FLOAT, TensorProto.INT64
    if target.categories is None:
        shape = [width] if target.shape else []
        axes = nodes.tensor("scores.shape", np.array([-1, *shape], np.int64))
        nodes.nodes.append(helper.make_node("Reshape", [value, axes], ["scores"], name="scores"))
        return [helper.make_tensor_value_info("scores", floats, ["rows", *shape])]
    scores, label = f"{prefix}scores", f"{prefix}label"
    nodes.nodes += [
        helper.make_node("Softmax", [value], [scores], name=scores, axis=1),
        helper.make_node("ArgMax", [scores], [label], name=label, axis=1, keepdims=0),
    ]
    return [
        helper.make_tensor_value_info(scores, floats, ["rows", width]),
        helper.make_tensor_value_info(label, numbers, ["rows"]),
    ]


def _kind(field: Field) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(field.dtype))


def _flat(nodes: Nodes, field: Field) -> str:
    if len(field.shape) == 1:
        return field.name
    axes = nodes.tensor("flatten.shape", np.array([-1, int(np.prod(_lengths(field)))], np.int64))
    return nodes.add("Reshape", "flatten", [field.name, axes])


def _softmax(nodes: Nodes, module: models.Softmax, field: Field) -> str:
    return linear(nodes, module.linear, "linear", _flat(nodes, field))


def _mlp(nodes: Nodes, module: models.Mlp, field: Field) -> str | None:
    return sequence(nodes, module.layers, "layers", _flat(nodes, field))


def _cnn(nodes: Nodes, module: models.Cnn, field: Field) -> str | None:
    value: str | None = field.name
    if len(field.shape) == 2:
        axes = nodes.tensor("channels.axes", np.array([1], np.int64))
        value = nodes.add("Unsqueeze", "channels", [field.name, axes])
    value = sequence(nodes, module.convolutions, "convolutions", str(value))
    if value is None:
        return None
    return sequence(nodes, module.dense, "dense", nodes.add("Flatten", "flatten", [value]))


def _lstm(nodes: Nodes, module: models.Lstm, field: Field) -> str:
    value = field.name
    if isinstance(module.embedding, nn.Embedding):
        weight = nodes.tensor("embedding.weight", module.embedding.weight)
        value = nodes.add("Gather", "embedding", [weight, value])
    value = lstm(nodes, module.lstm, "lstm", value)
    last = nodes.tensor("last.index", np.array(-1, np.int64))
    value = nodes.add("Gather", "last", [value, last], axis=1)
    return linear(nodes, module.linear, "linear", value)


_MODELS: dict[type[nn.Module], Callable[[Nodes, Any, Field], str | None]] = {
    models.Softmax: _softmax,
    models.Mlp: _mlp,
    models.Cnn: _cnn,
    models.Lstm: _lstm,
}


# ---------------------------------------------------------------- through torch.onnx


class _Answering(nn.Module):
    """A module with what the inferencer makes of its output."""

    def __init__(self, module: nn.Module, target: Field):
        super().__init__()
        self.module = module
        self.classes = target.categories is not None
        self.shape = (outputs(target),) if target.shape else ()
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        module = self.module
        found = module.both(x) if isinstance(module, EarlyExit) else (module(x),)
        if not self.classes:
            return (found[0].reshape(-1, *self.shape),)
        scores = [output.softmax(1) for output in found]
        return tuple(column for one in scores for column in (one, one.argmax(1)))


def _exported(module: nn.Module, field: Field, target: Field) -> ModelProto:
    answering = _Answering(module, target)
    example = torch.zeros((2, *_lengths(field)), dtype=getattr(torch, field.dtype))
    names = ["scores", "label"] if answering.classes else ["scores"]
    names += [f"exit.{name}" for name in names] if isinstance(module, EarlyExit) else []
    try:
        with _quiet():
            program = torch.onnx.export(
                answering,
                (example,),
                dynamo=True,
                verbose=False,
                input_names=[field.name],
                output_names=names,
                dynamic_shapes=({0: torch.export.Dim("rows")},),
            )
            proto = program.model_proto if program else None
    except Exception as error:
        raise _impossible(module, error) from error
    if proto is None:
        raise _impossible(module, None)
    for number, node in enumerate(proto.graph.node):
        node.name = f"{_scope(node) or node.op_type.lower()}/{number}"
    return onnx.shape_inference.infer_shapes(proto)


def _impossible(module: nn.Module, error: Exception | None) -> ConfigError:
    cause: BaseException | None = error
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
    said = next((line.strip() for line in str(cause or "").splitlines() if line.strip()), "")
    if isinstance(cause, ImportError):
        said = f"{said}; pip install 'aeros-torch[onnx]'"
    return ConfigError(
        f"{type(module).__name__} cannot be written as ONNX: {said[:200] or 'torch made nothing'}",
        provider=f"torch {torch.__version__}",
        hint="export it as safetensors, or write forward without choices that depend on values",
    )


def _scope(node: onnx.NodeProto) -> str:
    """Return the path of the submodule that a node comes from; empty for none."""
    for entry in node.metadata_props:
        if entry.key == "pkg.torch.onnx.name_scopes":
            paths = [word.strip(" '\"") for word in entry.value.strip("[]").split(",")]
            inner = [path for path in paths if path.startswith("module.")]
            return inner[-1].removeprefix("module.").removeprefix("trunk.") if inner else ""
    return ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's exporter from telling of itself; what goes wrong is raised all the same."""
    loud = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    before = [log.level for log in loud]
    try:
        for log in loud:
            log.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(loud, before, strict=True):
            log.setLevel(level)


def _lengths(field: Field) -> list[int]:
    return [int(length or 0) for length in field.shape]
