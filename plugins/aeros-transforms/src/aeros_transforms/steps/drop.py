"""All fields but some."""

from __future__ import annotations

from collections.abc import Sequence

from aeros_core.data import Batch
from aeros_core.errors import ConfigError
from aeros_core.schema import Schema
from aeros_transforms.options import all_known
from aeros_transforms.steps.field_binding import left_out

__all__ = ["Drop"]

_OPTION = "transformer.drop"


class Drop:
    """`config.steps.Drop`: leaves out the fields named.

    Raises:
        ConfigError: No field is named.
    """

    def __init__(self, *, fields: Sequence[str]) -> None:
        if not fields:
            raise ConfigError(f"{_OPTION}.fields is empty", hint=f"{_OPTION}.fields=[<field>,…]")
        self._names = frozenset(fields)
        self._listed = tuple(fields)

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema without these fields.

        Raises:
            ConfigError: A field does not exist, or is to be predicted.
        """
        all_known(f"{_OPTION}.fields", self._listed, schema.names, "the data")
        if schema.target in self._names:
            raise ConfigError(f"{_OPTION}.fields={schema.target}: the field is to be predicted")
        return schema.without(*self._names)

    def transform(self, batch: Batch) -> Batch:
        """Return the batch without these fields."""
        return {name: column for name, column in batch.items() if name not in self._names}

    def attributed(self, shares: Batch, batch: Batch) -> Batch:
        """Return the shares, and none for the fields that were left out."""
        return left_out(batch) | dict(shares)
