"""A model as a graph: its own, or one that the plugin of its module writes.

A distribution whose modules can be written as ONNX names a function in the entry-point
group ``aeros.onnx``::

    [project.entry-points."aeros.onnx"]
    torch = "aeros_torch.onnx_graph:graph"

It is called with the model and its module, and returns None if the module is not of its
kind; else a serialised ONNX model whose inputs are the schema's features and whose outputs
are what the plugin's own inferencer answers, and a function that answers so. Outputs whose
names begin with ``exit.`` are those of an early exit, and of no use but to stages.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from onnx import ModelProto

from aeros_core import compose, plugins
from aeros_core.data import Batch
from aeros_core.errors import ConfigError, PluginError
from aeros_core.formats import Compared
from aeros_core.records import Model
from aeros_core.roles import Module
from aeros_onnx import graph, reading
from aeros_onnx.agreement import agree
from aeros_onnx.paths import sources, takes
from aeros_onnx.session import Running

__all__ = ["EXIT", "GROUP", "Written", "proven", "serialised", "written"]

GROUP = "aeros.onnx"

Written = tuple[bytes, Callable[[Batch], Batch]]
"""A serialised graph, and what answers as it should."""


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
        module = compose.build_module(plugins.discover(), model.module)
    if module is None:
        raise ConfigError(
            f"model '{model.name}' does not say which module it is, so it has no graph",
            hint="export a model that aeros has trained, or one imported from ONNX",
        )
    data, answer = _asked(model, module)
    proto = reading.parsed(data, f"the graph of '{model.name}'")
    reading.checked(proto, model.name, data)
    compared = agree(model.name, model.schema, Running(data), answer, model.samples)
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
    found = list(entry_points(group=GROUP))
    for entry in found:
        if (answer := _loaded(entry)(model, module)) is not None:
            return answer
    raise ConfigError(
        f"model '{model.name}' cannot be written as ONNX: no plugin knows its module",
        exists=", ".join(sorted(entry.name for entry in found)) or "no plugin that writes ONNX",
        hint="pip install 'aeros-torch[onnx]'" if not found else "export it as safetensors",
    )


def _loaded(entry: EntryPoint) -> Callable[[Model, Module], Written | None]:
    try:
        function: Callable[[Model, Module], Written | None] = entry.load()
    except Exception as error:
        raise PluginError(
            f"{entry.value} cannot be used: {type(error).__name__}: {error}",
            hint="aeros plugins shows what is installed",
        ) from error
    return function
