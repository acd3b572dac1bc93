"""A model that is an ONNX graph: its initialisers are parameters, the rest is data.

The graph without its initialisers lies as bytes among the parameters, so that the digest of
a version covers it, and every repository and file format keeps it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from aeros_core.arrays import Array, on_host
from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.parameters import Parameters
from aeros_core.records import Model
from aeros_core.schema import Field, Schema
from aeros_onnx import validation
from aeros_onnx.session import LARGE
from aeros_onnx.traversal import required_inputs

__all__ = [
    "GRAPH",
    "described",
    "field_of",
    "fields_of",
    "holds_graph",
    "packed",
    "runnable",
    "unpacked",
    "whole",
]

GRAPH = "onnx.graph"
"""Name of the tensor, uint8, that holds the graph."""

_TOLD = "aeros."


def holds_graph(model: Model) -> bool:
    """Whether a model is an ONNX graph, and not a module's parameters."""
    return any(t.name == GRAPH and t.dtype == "uint8" for t in model.parameters.layout.tensors)


def packed(
    proto: ModelProto, name: str, weights: Mapping[str, Array] | None = None, **told: Any
) -> Model:
    """Return a checked graph as a model.

    What a file of ours says of its model comes back. From others the graph's inputs are the
    fields, and there is no target.

    Args:
        proto: The graph; not changed.
        name: Name of the model.
        weights: Initialisers that are no part of the graph, by name.
        told: What to say of it in place of what the file says, as `Model` names it.

    Raises:
        ConfigError: A tensor has the name that the graph has here.
        RepositoryError: What the file says of its model is damaged.
    """
    bare = ModelProto()
    bare.CopyFrom(proto)
    kept = [t for t in proto.graph.initializer if t.data_type == TensorProto.STRING]
    held = [t for t in proto.graph.initializer if t.data_type != TensorProto.STRING]
    del bare.graph.initializer[:]
    bare.graph.initializer.extend(kept)
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in held} | dict(weights or {})
    if GRAPH in tensors:
        raise ConfigError(f"a tensor called '{GRAPH}' has no place here", hint="rename it")
    tensors[GRAPH] = np.frombuffer(bare.SerializeToString(deterministic=True), np.uint8)
    said = _said(proto)
    said.setdefault("schema", Schema(fields_of(proto)))
    return Model(name, Parameters.of(tensors), **(said | told))


def unpacked(model: Model) -> ModelProto:
    """Return the graph of a model, whole, checked again.

    Raises:
        RepositoryError: What is stored is no graph.
    """
    return whole(model)[0]


def whole(model: Model) -> tuple[ModelProto, bytes]:
    """Return the same, and its bytes.

    Raises:
        RepositoryError: What is stored is no graph.
        ConfigError: It is larger than one file can be; `runnable` has no such bound.
    """
    if model.parameters.layout.nbytes > validation.LARGEST:
        raise ConfigError(
            f"model '{model.name}' is larger than an ONNX file can be, "
            f"{validation.LARGEST:,} bytes",
            exists="inferencer=onnx with inferencer.quantise=none takes it as it is",
            hint="to export it: aeros models export NAME FILE.safetensors",
        )
    tensors = {key: on_host(array) for key, array in model.parameters.items()}
    proto = validation.parsed(np.asarray(tensors.pop(GRAPH)).tobytes(), f"model '{model.name}'")
    proto.graph.initializer.extend(_tensor(key, array) for key, array in tensors.items())
    data = proto.SerializeToString()
    return validation.checked(proto, f"model '{model.name}'", data), data


def runnable(model: Model) -> tuple[bytes, Mapping[str, Array]]:
    """Return the graph of a model, and its large initialisers, which lie where they are.

    They are not serialised: that takes memory, and ends at 2 GB.

    Raises:
        RepositoryError: What is stored is no graph.
    """
    tensors = {key: on_host(array) for key, array in model.parameters.items()}
    where = f"model '{model.name}'"
    proto = validation.parsed(np.asarray(tensors.pop(GRAPH)).tobytes(), where)
    large = {k: np.asarray(a, order="C") for k, a in tensors.items() if a.nbytes >= LARGE}
    small = (_tensor(key, array) for key, array in tensors.items() if key not in large)
    proto.graph.initializer.extend(small)
    data = proto.SerializeToString()
    validation.checked(proto, where, data, large)
    return data, large


def _tensor(name: str, array: Array) -> TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)


def described(proto: ModelProto, model: Model) -> ModelProto:
    """Return a graph that says what model it is; the argument, changed."""
    del proto.metadata_props[:]
    helper.set_model_props(
        proto,
        {
            f"{_TOLD}name": model.name,
            f"{_TOLD}digest": model.parameters.digest,
            f"{_TOLD}run": model.run,
            f"{_TOLD}round": str(model.round),
            f"{_TOLD}metrics": json.dumps(dict(model.metrics)),
            f"{_TOLD}schema": json.dumps(model.schema.to_json()),
        },
    )
    return proto


def _said(proto: ModelProto) -> dict[str, Any]:
    """Return what a file of ours says of its model; nothing of one from elsewhere."""
    told: Mapping[str, str] = {
        entry.key.removeprefix(_TOLD): entry.value
        for entry in proto.metadata_props
        if entry.key.startswith(_TOLD)
    }
    if not told:
        return {}
    try:
        said: dict[str, Any] = {
            "schema": Schema.from_json(json.loads(told["schema"])),
            "metrics": {str(k): float(v) for k, v in json.loads(told["metrics"]).items()},
            "round": int(told["round"]),
            "parents": (told["digest"],),
        }
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RepositoryError(
            f"what the file says of its model is damaged: {error}",
            hint="bring it from its origin again",
        ) from error
    return said


def fields_of(proto: ModelProto) -> tuple[Field, ...]:
    """Return the inputs that a request brings, as fields."""
    return tuple(field_of(value) for value in required_inputs(proto))


def field_of(value: ValueInfoProto) -> Field:
    """Return an input as a field of one example: without its first dimension."""
    kind = value.type.tensor_type
    dims = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
    if not value.type.HasField("tensor_type") or not dims:
        raise ConfigError(
            f"input '{value.name}' of the graph is no tensor with a dimension for examples",
            hint="export it with inputs of shape (examples, …)",
        )
    return Field(value.name, _dtype(value.name, kind.elem_type), tuple(dims[1:]))


def _dtype(name: str, kind: int) -> str:
    if kind == TensorProto.STRING:
        return "str"
    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind))
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"input '{name}' of the graph has no dtype that is known") from error
    if dtype.kind not in "biufc":
        word = onnx.TensorProto.DataType.Name(kind).lower()
        raise ConfigError(
            f"input '{name}' of the graph is of dtype {word}, which numpy does not have",
            hint="export it with float32 inputs",
        )
    return dtype.name
