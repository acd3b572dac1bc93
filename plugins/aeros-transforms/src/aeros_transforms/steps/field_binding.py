"""What a step learns from the schema: the fields it works on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.errors import ConfigError, DataError
from aeros_core.messages import State
from aeros_core.schema import Field, Schema
from aeros_transforms.options import all_known

__all__ = ["Binding", "bound", "left_out", "plain"]


@dataclass(frozen=True, slots=True)
class Binding:
    """The fields a step works on, and the target, which requests do not carry.

    Args:
        fields: Names of the fields, in order.
        target: Name of the field to predict; None for data without one.
    """

    fields: tuple[str, ...]
    target: str | None

    @classmethod
    def of(cls, option: str, schema: Schema, fields: Sequence[str]) -> Binding:
        """Bind to the fields named, or to all floating-point features.

        Raises:
            ConfigError: A field does not exist or holds no numbers, or there is none.
        """
        all_known(f"{option}.fields", fields, schema.names, "the data")
        for name in fields:
            if not plain(schema[name]):
                raise ConfigError(
                    f"{option}.fields={name}: the field holds categories or text, not numbers",
                    hint=f"put one_hot before it, or leave '{name}' out",
                )
        chosen = tuple(fields) or tuple(
            f.name for f in schema.features if f.dtype.startswith("float") and plain(f)
        )
        if not chosen:
            raise ConfigError(
                f"{option} finds no floating-point field in the data",
                exists=", ".join(map(str, schema.features)) or "no field at all",
            )
        return cls(chosen, schema.target)

    def columns(self, batch: Batch) -> Iterator[tuple[str, Array]]:
        """Yield each field of a batch; the target only where it is there.

        Raises:
            DataError: Another field is missing.
        """
        for name in self.fields:
            if name in batch:
                yield name, batch[name]
            elif name != self.target:
                raise DataError(f"field '{name}' is missing", exists=", ".join(batch) or "no field")

    def answered(self, output: Batch) -> Array | None:
        """Return the values that a model predicts; None where the target is no field here."""
        return output.get("scores") if self.target in self.fields else None

    def state(self) -> State:
        """Return the binding as a state."""
        return {"fields": json.dumps(self.fields), "target": json.dumps(self.target)}

    @classmethod
    def restore(cls, state: State) -> Binding:
        """Read what `state` returned."""
        fields, target = json.loads(str(state["fields"])), json.loads(str(state["target"]))
        return cls(tuple(fields), target)


def plain(field: Field) -> bool:
    """Tell whether a field holds numbers that are no codes."""
    return field.dtype != "str" and field.categories is None


def left_out(batch: Batch) -> dict[str, Array]:
    """Return no share in an answer for any value of a batch."""
    return {name: np.zeros(column.shape, np.float32) for name, column in batch.items()}


def bound(binding: Binding | None, option: str) -> Binding:
    """Return the binding.

    Raises:
        ConfigError: The step has not seen a schema.
    """
    if binding is None:
        raise ConfigError(
            f"{option} does not know its fields yet",
            hint="call output_schema with the data's schema, or restore a state",
        )
    return binding
