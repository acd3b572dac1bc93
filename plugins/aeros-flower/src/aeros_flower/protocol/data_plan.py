"""What nodes bring their data to before a task, and what the fitted steps were fitted to."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Partition
from aeros_core.fields.alignment import SourceSchema
from aeros_core.messages import State
from aeros_flower.protocol.message_content import Block, WireError, named, of

__all__ = [
    "DataPlan",
    "described_state",
    "described_states",
    "digest",
    "read_state",
    "read_states",
    "shaped",
]

_ARRAYS, _SHAPES = "arrays", "shapes"


@dataclass(frozen=True, slots=True)
class DataPlan:
    """The same for every node of a task, also for those that come later.

    Args:
        source: The schema of the data before the first step.
        clients: Digest of the task's own partition, for executors that serve its clients.
        fitted: States of the fitted steps, by name; None: they are not fitted yet.
    """

    source: SourceSchema
    clients: str = ""
    fitted: Mapping[str, State] | None = None

    def pack(self, block: Block) -> dict[str, Any]:
        """Return the plan as plain data; arrays go into the block."""
        fitted = self.fitted
        return {
            "source": self.source.to_json(),
            "clients": self.clients,
            "fitted": None if fitted is None else described_states(fitted, block),
        }

    @classmethod
    def unpack(cls, told: Mapping[str, Any], arrays: Sequence[Array]) -> DataPlan:
        """Read what `pack` wrote.

        Raises:
            WireError: Something is missing, or of another type or size.
        """
        try:
            source = SourceSchema.from_json(of(told.get("source"), dict, "source"))
        except (LookupError, TypeError, AttributeError) as error:
            raise WireError(f"a schema that is none: {error}") from None
        fitted = told.get("fitted")
        states = None if fitted is None else read_states(of(fitted, dict, "fitted"), arrays)
        return cls(source, of(told.get("clients"), str, "clients"), states)

    def state(self) -> State:
        """Return the plan as a state, kept with the run for a controller that goes on."""
        state: dict[str, Any] = {"source": json.dumps(self.source.to_json())}
        for step, values in (self.fitted or {}).items():
            state |= {f"fitted.{step}.{key}": value for key, value in values.items()}
        return state | {
            "fitted": json.dumps({n: sorted(v) for n, v in (self.fitted or {}).items()})
        }

    @classmethod
    def of_state(cls, state: State, clients: str) -> DataPlan | None:
        """Read what `state` returned; None if there is nothing of it."""
        if "source" not in state:
            return None
        names = json.loads(str(state["fitted"]))
        fitted = {
            step: {key: state[f"fitted.{step}.{key}"] for key in keys}
            for step, keys in names.items()
        }
        return cls(SourceSchema.from_json(json.loads(str(state["source"]))), clients, fitted)


def described_states(states: Mapping[str, State], block: Block) -> dict[str, Any]:
    """Return states by name as plain data; arrays go into the block."""
    return {name: described_state(state, block) for name, state in states.items()}


def described_state(state: State, block: Block) -> dict[str, Any]:
    """Return a state as plain data; its arrays go into the block."""
    arrays = {name: np.asarray(v) for name, v in state.items() if hasattr(v, "shape")}
    told: dict[str, Any] = {name: v for name, v in state.items() if name not in arrays}
    return {
        "told": told,
        _ARRAYS: {name: block.add(array) for name, array in arrays.items()},
        _SHAPES: {name: list(array.shape) for name, array in arrays.items()},
    }


def read_states(told: Mapping[str, Any], arrays: Sequence[Array]) -> dict[str, State]:
    """Read what `described_states` wrote.

    Raises:
        WireError: Something is missing, or of another type or size.
    """
    return {name: read_state(of(state, dict, "state"), arrays) for name, state in told.items()}


def read_state(told: Mapping[str, Any], arrays: Sequence[Array]) -> State:
    """Read what `described_state` wrote.

    Raises:
        WireError: Something is missing, or of another type or size.
    """
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


def digest(partition: Partition) -> str:
    """Return a digest of who holds which rows, the same wherever the data are."""
    hashed = hashlib.sha256(np.ascontiguousarray(partition.offsets, "<i8").tobytes())
    hashed.update(np.ascontiguousarray(partition.rows, "<i8").tobytes())
    return hashed.hexdigest()
