"""What nodes are told before a task: its configuration, and the model they are to answer with.

A model is described; its parameters come with instructions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flwr.app import RecordDict

from aeros_core.messages import State
from aeros_core.parameters import Array, Layout, Parameters
from aeros_core.records import Model
from aeros_core.schema import Schema
from aeros_flower.parcel import Block, WireError, named, of, opened, pack

__all__ = ["described", "pack_preparation", "read", "shaped", "unpack_preparation"]

_ARRAYS, _SHAPES = "arrays", "shapes"


def pack_preparation(
    identity: str, config: Mapping[str, Any], model: Model | None = None
) -> RecordDict:
    """Return the message that asks a node to prepare for a task.

    Args:
        identity: Of what decides the task's result.
        config: What of the task's configuration a node needs.
        model: What nodes are to answer with; None: they are to train.
    """
    block = Block()
    head: dict[str, Any] = {"identity": identity, "config": dict(config)}
    if model is not None:
        head["model"] = described(model, block)
    return pack("prepare", head, {"fitted": block})


def unpack_preparation(content: RecordDict) -> tuple[dict[str, Any], Model | None]:
    """Return the configuration in what `pack_preparation` wrote, and the model, if any.

    The model has no parameters yet.

    Raises:
        WireError: Something is missing, or of another type or size.
    """
    head, blocks = opened(content, "prepare")
    told, config = head.get("model"), of(head.get("config"), dict, "config")
    if told is None:
        return config, None
    return config, read(of(told, dict, "model"), blocks.get("fitted", []))


def described(model: Model, block: Block) -> dict[str, Any]:
    """Return a model as plain data; the arrays of its fitted steps go into the block."""
    return {
        "name": model.name,
        "schema": model.schema.to_json(),
        "inputs": None if model.inputs is None else model.inputs.to_json(),
        "module": dict(model.module),
        "transformers": {name: dict(node) for name, node in model.transformers.items()},
        "behind": list(model.behind),
        "fitted": {name: _state(state, block) for name, state in model.fitted.items()},
    }


def _state(state: State, block: Block) -> dict[str, Any]:
    arrays = {name: np.asarray(v) for name, v in state.items() if hasattr(v, "shape")}
    told: dict[str, Any] = {name: v for name, v in state.items() if name not in arrays}
    return {
        "told": told,
        _ARRAYS: {name: block.add(array) for name, array in arrays.items()},
        _SHAPES: {name: list(array.shape) for name, array in arrays.items()},
    }


def read(told: Mapping[str, Any], arrays: Sequence[Array]) -> Model:
    """Read what `described` wrote: a model without parameters.

    Raises:
        WireError: Something is missing, or of another type or size.
    """
    inputs = told.get("inputs")
    fitted = of(told.get("fitted"), dict, "fitted")
    return Model(
        name=of(told.get("name"), str, "name"),
        parameters=Parameters(Layout(()), {}),
        schema=_schema(told.get("schema")),
        inputs=None if inputs is None else _schema(inputs),
        module=of(told.get("module"), dict, "module"),
        transformers=of(told.get("transformers"), dict, "transformers"),
        behind=tuple(of(n, str, "behind") for n in of(told.get("behind"), list, "behind")),
        fitted={name: _read_state(of(s, dict, "state"), arrays) for name, s in fitted.items()},
    )


def _schema(told: object) -> Schema:
    try:
        return Schema.from_json(of(told, dict, "schema"))
    except (KeyError, TypeError, AttributeError) as error:
        raise WireError(f"a schema that is none: {error}") from None


def _read_state(told: Mapping[str, Any], arrays: Sequence[Array]) -> State:
    shapes, found = of(told.get(_SHAPES), dict, _SHAPES), named(told, _ARRAYS, arrays)
    state: dict[str, Any] = dict(of(told.get("told"), dict, "told"))
    return state | {name: shaped(array, shapes.get(name), name) for name, array in found.items()}


def shaped(array: Array, shape: object, name: str) -> Array:
    """Return a flat array in a shape that a message says.

    Raises:
        WireError: The shape is none, or one of another size.
    """
    lengths = tuple(of(length, int, name) for length in of(shape, list, name))
    if any(length < 0 for length in lengths) or math.prod(lengths) != array.size:
        raise WireError(f"'{name}' has {array.size} elements, not those of shape {lengths}")
    return array.reshape(lengths)
