"""What a request for a model has to bring, derived from the model's schema and pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.errors import AerosError, ConfigError
from aeros_core.records import Model
from aeros_core.roles.transformer import Transformer
from aeros_core.schema import Field
from aeros_serving.protocol.columns import Column
from aeros_serving.protocol.errors import Malformed, short
from aeros_serving.protocol.sample_rows import different_rows, lowest_rows, rows_of_ones
from aeros_serving.protocol.tensors import datatype_of

__all__ = ["PLACE", "InputSchema", "Tensor", "input_schema_of", "tensor_of"]

PLACE = "inputs["
"""What the place of an input without a name begins with."""

_MOST = 20
"""Inputs that a message names as missing, or as not expected: there may be any number."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output as the protocol's metadata say it.

    Args:
        name: Its name.
        datatype: BOOL, INT64, FP32, BYTES and so on.
        shape: Lengths, with the rows first; -1: any.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class InputSchema:
    """Checks requests against the fields they have to bring.

    Args:
        fields: The features of the raw data, by name.

    Attributes:
        columns: What makes columns of tensors, by name.
    """

    fields: Mapping[str, Field]
    columns: Mapping[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare what makes columns of tensors."""
        columns = {name: Column(each) for name, each in self.fields.items()}
        object.__setattr__(self, "columns", columns)  # frozen, and made of what it has

    def check(
        self,
        tensors: Mapping[str, Array],
        datatypes: Mapping[str, str],
        bad: Mapping[str, str] = _NOTHING,
    ) -> Batch:
        """Return the tensors as a batch for the transformers.

        Args:
            tensors: By the name of the input.
            datatypes: As the request calls them, by the name of the input.
            bad: What is wrong with inputs that could not be read, by name, or by place
                where they have none (`PLACE`).

        Raises:
            Malformed: Names, one after the other, every violation.
        """
        wrong = self._unread(bad) if bad else []
        if tensors.keys() != self.fields.keys():
            wrong += self._misnamed(tensors, bad)
        batch: dict[str, Array] = {}
        for name, column in self.columns.items():
            if (array := tensors.get(name)) is not None:
                whys, batch[name] = column.of(array, datatypes[name])
                wrong += [f"input '{name}': {why}" for why in whys] if whys else ()
        if wrong or len({len(column) for column in batch.values() if column.ndim}) > 1:
            raise Malformed("; ".join([*wrong, *self._uneven(batch)]))
        if not any(column.size for column in batch.values()):
            self._check_rows(batch)
        return batch

    def _check_rows(self, batch: Batch) -> None:
        """Refuse rows that hold nothing: a few bytes would announce any number of them."""
        if rows := max(map(len, batch.values())):
            raise Malformed(f"{rows} rows, and no input holds a value of them")

    def _unread(self, bad: Mapping[str, str]) -> list[str]:
        """Return what is wrong with inputs of the model, and with some others."""
        left_out = set([name for name in bad if name not in self.fields][_MOST:])
        return [why for name, why in bad.items() if name not in left_out]

    def _misnamed(self, tensors: Mapping[str, Array], bad: Mapping[str, str]) -> list[str]:
        there = dict.fromkeys((*tensors, *(name for name in bad if not name.startswith(PLACE))))
        missing = [name for name in self.fields if name not in there]
        strange = [name for name in there if name not in self.fields]
        takes = ", ".join([*self.fields][:_MOST]) + ("" if len(self.fields) <= _MOST else ", …")
        wrong = [f"input '{name}' is missing" for name in missing[:_MOST]]
        if len(missing) > _MOST:
            wrong.append(f"{len(missing) - _MOST} further inputs are missing")
        wrong += [
            f"input '{short(name)}' is not expected; the model takes {takes}"
            for name in strange[:_MOST]
        ]
        if len(strange) > _MOST:
            wrong.append(f"{len(strange) - _MOST} further inputs are not expected")
        return wrong

    def _uneven(self, batch: Batch) -> list[str]:
        """Tell whether inputs whose shapes are right have different numbers of rows."""
        rows = {n: len(array) for n, array in batch.items() if self.columns[n].fits(array)}
        uneven = len(set(rows.values())) > 1
        told = ", ".join(f"'{name}' {count}" for name, count in rows.items())
        return [f"inputs have different numbers of rows: {told}"] if uneven else []

    @property
    def free(self) -> bool:
        """Whether rows of two requests may differ in shape or dtype."""
        return any(f.dtype == "*" or None in f.shape for f in self.fields.values())

    @property
    def inputs(self) -> list[Tensor]:
        """The inputs as the protocol's metadata say them."""
        return [
            Tensor(name, each.datatype, (-1, *(-1 if n is None else n for n in each.field.shape)))
            for name, each in self.columns.items()
        ]

    def sample(self, rows: int = 1, free: int = 1) -> Batch:
        """Return rows that keep the contract, all alike; ``free``: length of free dimensions."""
        return lowest_rows(self.fields, rows, free)

    def ones(self, rows: int = 1, free: int = 1) -> Batch:
        """Return `sample` with 1 where the contract leaves it open."""
        return rows_of_ones(self.fields, rows, free)

    def different(self, rows: int, free: int = 1) -> Batch:
        """Return rows that keep the contract and differ, the same with every call."""
        return different_rows(self.fields, rows, free)


def input_schema_of(model: Model, steps: Sequence[Transformer]) -> InputSchema:
    """Return what a request for a stored model has to bring.

    Raises:
        ConfigError: The model does not say what its transformers were given.
    """
    schema = model.inputs
    if schema is None:
        schema = model.schema
        if steps and _changed(model, steps):
            raise ConfigError(
                f"model '{model.name}' does not say what its transformers take",
                exists=f"transformers {', '.join(model.transformers)}",
                hint="train it again: models now keep the schema of the raw data",
            )
    if not schema.features:
        raise ConfigError(
            f"model '{model.name}' has no schema, so no request could be checked",
            hint="train it, or import it from a safetensors file of aeros",
        )
    return InputSchema({field.name: field for field in schema.features})


def _changed(model: Model, steps: Sequence[Transformer]) -> bool:
    """Tell whether the steps change names, dtypes or shapes; asked of a model from before."""
    schema = model.schema
    try:
        for step in steps:
            schema = step.output_schema(schema)
    except AerosError:
        return True
    told = [(f.name, f.dtype, f.shape) for f in schema.fields]
    return told != [(f.name, f.dtype, f.shape) for f in model.schema.fields]


def tensor_of(name: str, array: Array) -> Tensor:
    """Return what the protocol's metadata say of an output, seen from one answer."""
    return Tensor(name, datatype_of(array.dtype), (-1, *array.shape[1:]))
