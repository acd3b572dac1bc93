"""Data as their source loads them, before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError, DataError
from aeros_core.fields.alignment import Differences, SourceSchema, align, without_ranges
from aeros_core.roles.transformer import (
    Partitioner,
    Source,
    SupportsObservedRanges,
    SupportsSchema,
    Transformer,
)
from aeros_core.schema import Schema

__all__ = ["Loaded", "Transformers", "load", "shareable"]

Transformers: TypeAlias = Mapping[str, Transformer | Source | Partitioner]
"""Source, steps and partitioner by name, in order."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Data before the first step.

    Args:
        train: Every row to train on.
        test: The source's test split; None if it has none.
        source: Their schema as the source describes it, with the ranges it observed.
        agreed: What they were brought to; None: the source decided alone.
        differences: How the rows to train on differed from it before.
    """

    train: Dataset
    test: Dataset | None
    source: Schema
    agreed: SourceSchema | None = None
    differences: Differences = field(default_factory=Differences)


def load(transformers: Transformers, agreed: SourceSchema | None = None) -> Loaded:
    """Load the data, and bring them to an agreed schema.

    Raises:
        ConfigError: The first transformer loads no data.
        SchemaMismatch: The data cannot be brought to the agreed schema.
        DataError: The data are damaged, empty, or not finite.
    """
    name, source = next(iter(transformers.items()), ("", None))
    if not isinstance(source, Source):
        raise ConfigError(
            f"transformer '{name}' comes first but loads no data"
            if name
            else "no transformer is chosen, so there is no data",
            hint="name a source first, as in transformer=[digits,iid]",
        )
    if agreed is not None and isinstance(source, SupportsSchema):
        source.adopt(agreed)
    train = source.load("train")
    if train is None or not len(train):
        raise DataError(f"transformer '{name}' loaded no example to train on")
    splits = [train.check()]
    splits += [] if (test := source.load("test")) is None else [test.check()]
    differences = source.differences if isinstance(source, SupportsSchema) else Differences()
    if agreed is not None:
        train, found = align(splits[0], agreed)
        splits = [train, *(align(split, agreed)[0] for split in splits[1:])]
        differences = found if found.handled or found.extra else differences
    described = splits[0].schema
    seen = shareable(transformers, described) if agreed is None else described
    splits = [replace(split, schema=seen) for split in splits]
    return Loaded(splits[0], splits[1] if len(splits) > 1 else None, described, agreed, differences)


def shareable(transformers: Transformers, schema: Schema) -> Schema:
    """Return a schema without ranges that are those of the rows and not of the format."""
    source = next(iter(transformers.values()))
    observed = isinstance(source, SupportsObservedRanges) and source.observes_ranges
    return without_ranges(schema) if observed else schema
