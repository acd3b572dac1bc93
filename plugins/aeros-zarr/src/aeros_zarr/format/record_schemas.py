"""Schemas of records: their fields, in the order of writing, validated on reading.

A checksum proves that a file is unchanged, not that its writer was correct, so each record is
also validated against its schema. Fields that a schema does not name are kept: those that repeat
its key (`aeros_zarr.stores.layout`), and additions of later versions.

Fields filled by plugins, such as metrics and configurations, are only required to be mappings,
so that every record that can be written can be read.

`to_record` and `from_record` convert between records and dataclasses of the core.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, TypeAlias, TypeVar, cast

from msgspec import UNSET, Struct, UnsetType, field, structs

__all__ = [
    "RECORDS",
    "AlgorithmRecord",
    "IndexRow",
    "ModelRecord",
    "RoundRecord",
    "RunRecord",
    "from_record",
    "names",
    "to_record",
]

T = TypeVar("T")

_Free: TypeAlias = dict[str, Any]
"""A mapping with values of any type."""


class Blob(Struct, gc=False):
    """A reference to an array by the digest of its blob."""

    digest: str = field(name="$blob")


_State: TypeAlias = dict[str, int | float | str | bool | Blob]


class Traffic(Struct, gc=False):
    """Bytes that were sent and received."""

    sent: int
    received: int


class RepositoryRecord(Struct):
    """The marker of a repository."""


class RunRecord(Struct):
    """A run with its configuration and package versions."""

    id: str
    task: str
    identity: str
    config: _Free
    versions: _Free
    created: str


class RoundReport(Struct):
    """The report of a round (`aeros_core.results.Round`)."""

    round: int
    metrics: _Free
    federated: _Free
    training: _Free
    nodes: dict[str, _Free]
    refused: _Free
    dropped: dict[str, dict[str, int]]
    seconds: _Free
    bytes: Traffic
    capped: dict[str, dict[str, int]] | UnsetType = UNSET


class RoundRecord(Struct, kw_only=True):
    """A committed round, with the blobs of its checkpoint; since format 2 with ``bases``."""

    round: RoundReport
    seconds: int | float
    parameters: dict[str, str]
    bases: list[str] | UnsetType = UNSET
    state: dict[str, _State]
    kept: list[int]


class ResultRecord(Struct):
    """The result of a run (`aeros_core.results.Result`)."""

    task: str
    status: str
    rounds: int
    metrics: _Free
    model: _Free
    seconds: int | float
    bytes: Traffic
    versions: _Free
    dropped: _Free
    capped: dict[str, int] | UnsetType = UNSET


class ModelRecord(Struct, kw_only=True):
    """A version of a model, with the blobs of its arrays; since format 2 with ``bases``."""

    digest: str
    parameters: dict[str, str]
    bases: list[str] | UnsetType = UNSET
    nbytes: int
    schema: _Free
    inputs: _Free | UnsetType | None = UNSET
    module: _Free
    transformers: _Free
    behind: list[str] | UnsetType = UNSET
    fitted: dict[str, _State]
    run: str
    round: int
    metrics: _Free
    versions: _Free
    parents: list[str]
    samples: dict[str, Blob] | UnsetType = UNSET
    created: str


class TagRecord(Struct):
    """The version that a tag points to."""

    version: int


class AlgorithmRecord(Struct):
    """A version of an algorithm (`aeros_core.records.Algorithm`), and the blob of its wheel."""

    name: str
    version: str
    sha256: str
    size: int
    key: str
    signature: str
    wheel: str


class IndexRow(Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """The listed fields of one model version, stored as an array in this order."""

    version: int
    digest: str
    run: str
    round: int
    metrics: _Free
    created: str
    nbytes: int
    parents: list[Any]


class IndexRecord(Struct):
    """The listed fields of many model versions."""

    rows: list[IndexRow]


RECORDS: Mapping[str, type[Struct]] = {
    "repository": RepositoryRecord,
    "run": RunRecord,
    "round": RoundRecord,
    "result": ResultRecord,
    "model": ModelRecord,
    "tag": TagRecord,
    "algorithm": AlgorithmRecord,
    "index": IndexRecord,
}
"""Schema of the content of each kind of manifest."""


@cache
def names(schema: type[Struct]) -> tuple[str, ...]:
    """Return the field names of a schema, in the order of writing."""
    return tuple(each.name for each in structs.fields(schema))


def to_record(schema: type[Struct], source: object, /, **made: Any) -> dict[str, Any]:
    """Return the record of an object, with fields in the order of its schema.

    Args:
        schema: Schema of the record.
        source: Object whose attributes supply the fields; missing attributes are omitted.
        made: Fields that differ from the attribute; UNSET omits a field.
    """
    found = {name: made.get(name, getattr(source, name, UNSET)) for name in names(schema)}
    return {name: value for name, value in found.items() if value is not UNSET}


def from_record(
    kind: type[T], schema: type[Struct], content: Mapping[str, Any], /, **made: Any
) -> T:
    """Return the object that a record describes.

    Args:
        kind: Dataclass of the object.
        schema: Schema of the record; fields outside the schema are ignored.
        content: The record.
        made: Fields of the object that differ from the record or are missing in it.
    """
    there = {each.name for each in fields(cast("Any", kind))}
    found = {n: content[n] for n in names(schema) if n in there and n in content}
    return kind(**(found | made))
