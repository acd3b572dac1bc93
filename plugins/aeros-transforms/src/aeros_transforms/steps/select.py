"""Only some fields."""

from __future__ import annotations

from collections.abc import Sequence

from aeros_core.data import Batch
from aeros_core.errors import ConfigError
from aeros_core.messages import State
from aeros_core.schema import Schema
from aeros_transforms.options import all_known
from aeros_transforms.steps.field_binding import Binding, bound, left_out

__all__ = ["Select"]

_OPTION = "transformer.select"


class Select:
    """`config.steps.Select`: the fields named, in that order, and the target.

    Raises:
        ConfigError: No field is named.
    """

    def __init__(self, *, fields: Sequence[str]) -> None:
        if not fields:
            raise ConfigError(f"{_OPTION}.fields is empty", hint=f"{_OPTION}.fields=[<field>,…]")
        self._names = tuple(fields)
        self._binding: Binding | None = None

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema of these fields.

        Raises:
            ConfigError: A field does not exist.
        """
        all_known(f"{_OPTION}.fields", self._names, schema.names, "the data")
        names = [*self._names, *([schema.target] if schema.target is not None else [])]
        self._binding = Binding(tuple(dict.fromkeys(names)), schema.target)
        return Schema(tuple(schema[name] for name in self._binding.fields), schema.target)

    def transform(self, batch: Batch) -> Batch:
        """Return the batch of these fields.

        Raises:
            DataError: A field is missing.
        """
        return dict(bound(self._binding, _OPTION).columns(batch))

    def attributed(self, shares: Batch, batch: Batch) -> Batch:
        """Return the shares, and none for the fields that were left out."""
        return left_out(batch) | dict(shares)

    def state(self) -> State:
        """Return the fields."""
        return {} if self._binding is None else self._binding.state()

    def restore(self, state: State) -> None:
        """Take up what `state` returned; nothing else is needed to transform."""
        self._binding = Binding.restore(state) if state else None
