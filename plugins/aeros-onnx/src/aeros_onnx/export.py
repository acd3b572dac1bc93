"""A model as a graph: its own, or one that the plugin of its module writes.

Plugins register how their modules are written with the hook ``aeros_onnx_exporters``; outputs
whose names begin with ``exit.`` are those of an early exit, and of no use but to stages.
"""

from __future__ import annotations

from collections.abc import Callable

from onnx import ModelProto

from aeros_core.config import build
from aeros_core.data import Batch
from aeros_core.errors import ConfigError
from aeros_core.hooks.extensions import OnnxExporter
from aeros_core.models.formats import Compared
from aeros_core.plugins import discovery, extension_lookup
from aeros_core.records import Model, Module
from aeros_onnx import graph, validation
from aeros_onnx.comparison import compare
from aeros_onnx.session import OnnxSession
from aeros_onnx.traversal import sources, takes

__all__ = ["EXIT", "Written", "proven", "serialised", "written"]

Written = tuple[bytes, Callable[[Batch], Batch]]
"""A serialised graph, and what answers as it should."""

Exporter = Callable[[Model, Module], Written | None]
"""Writes a module, or returns None where it is not of its kind."""

EXIT = "exit."
"""How the outputs of an early exit begin."""


def written(model: Model, module: Module | None = None, *, exits: bool = False) -> ModelProto:
    """Return a model as a graph that was compared with the original, as `proven` makes it."""
    return proven(model, module, exits=exits)[0]


def proven(
    model: Model, module: Module | None = None, *, exits: bool = False
) -> tuple[ModelProto, Compared | None]:
    """Return a model as a graph, and on what rows it was compared with the original.

    A model that is a graph itself is compared with nothing.

    Args:
        model: The model.
        module: What builds its module, where the caller has it.
        exits: Whether to keep what an early exit answers.

    Raises:
        ConfigError: It does not say which module it is, or no plugin can write it.
        DataError: The graph does not answer as the original does.
    """
    if graph.holds_graph(model):
        return graph.unpacked(model), None
    proto, _, compared = _compared(model, module)
    return graph.described(proto if exits else _without_exits(proto), model), compared


def serialised(model: Model, module: Module | None = None) -> bytes:
    """Return the bytes of a graph that answers as a model does, as `written` makes it.

    Raises:
        ConfigError: It does not say which module it is, or no plugin can write it.
        DataError: The graph does not answer as the original does.
    """
    if graph.holds_graph(model):
        return graph.whole(model)[1]
    proto, data, _ = _compared(model, module)
    count = len(proto.graph.output)
    whole = len(_without_exits(proto).graph.output) == count
    return data if whole else proto.SerializeToString()


def _compared(model: Model, module: Module | None) -> tuple[ModelProto, bytes, Compared]:
    if module is None:
        module = build.build_module(discovery.discover(), model.module)
    if module is None:
        raise ConfigError(
            f"model '{model.name}' does not say which module it is, so it has no graph",
            hint="export a model that aeros has trained, or one imported from ONNX",
        )
    data, answer = _asked(model, module)
    proto = validation.parsed(data, f"the graph of '{model.name}'")
    validation.checked(proto, model.name, data)
    compared = compare(model.name, model.schema, OnnxSession(data), answer, model.samples)
    return proto, data, compared


def _without_exits(proto: ModelProto) -> ModelProto:
    """Return a graph without early exits and what is computed for them alone; the argument."""
    kept = [value for value in proto.graph.output if not value.name.startswith(EXIT)]
    if len(kept) == len(proto.graph.output):
        return proto
    nodes = list(proto.graph.node)
    needed = sources(nodes, [value.name for value in kept])
    used = {name for i in needed for name in takes(nodes[i])}
    tensors = [tensor for tensor in proto.graph.initializer if tensor.name in used]
    for held, left in (
        (proto.graph.node, [node for i, node in enumerate(nodes) if i in needed]),
        (proto.graph.output, kept),
        (proto.graph.initializer, tensors),
    ):
        del held[:]
        held.extend(left)
    return proto


def _asked(model: Model, module: Module) -> Written:
    found = _exporters()
    for export in found.values():
        if (answer := export(model, module)) is not None:
            return answer
    raise ConfigError(
        f"model '{model.name}' cannot be written as ONNX: no plugin knows its module",
        exists=", ".join(sorted(found)) or "no plugin that writes ONNX",
        hint="pip install 'aeros-torch[onnx]'" if not found else "export it as safetensors",
    )


def _exporters() -> dict[str, Exporter]:
    """Return the functions that plugins register, by name."""
    registry, group = discovery.discover(), OnnxExporter.group
    return {
        name: extension_lookup.load(registry.extensions[group, name], f"ONNX exporter {name}")
        for name in extension_lookup.names(registry, group)
    }
