"""What a request for a model has to bring, derived from the model's schema and pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from aeros_core.data import Batch
from aeros_core.errors import AerosError, ConfigError
from aeros_core.parameters import Array
from aeros_core.records import Model
from aeros_core.roles import Transformer
from aeros_core.schema import Field
from aeros_serving.failures import Malformed
from aeros_serving.tensors import datatype_of

__all__ = ["Contract", "Tensor", "contract_of", "tensor_of"]


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
class Contract:
    """Checks requests against the fields they have to bring.

    Args:
        fields: The features of the raw data, by name.
    """

    fields: Mapping[str, Field]

    def check(self, tensors: Mapping[str, Array], datatypes: Mapping[str, str]) -> Batch:
        """Return the tensors as a batch for the transformers.

        Args:
            tensors: By the name of the input.
            datatypes: As the request calls them, by the name of the input.

        Raises:
            Malformed: Names, one after the other, every violation.
        """
        wrong = [f"input '{name}' is missing" for name in self.fields if name not in tensors]
        wrong += [
            f"input '{name}' is not expected; the model takes {', '.join(self.fields)}"
            for name in tensors
            if name not in self.fields
        ]
        batch: dict[str, Array] = {}
        for name, field in self.fields.items():
            if (array := tensors.get(name)) is not None:
                why, batch[name] = _checked(field, array, datatypes[name])
                wrong += [f"input '{name}': {why}"] if why else []
        if not wrong and len({len(column) for column in batch.values()}) > 1:
            told = ", ".join(f"'{name}' {len(column)}" for name, column in batch.items())
            wrong.append(f"inputs have different numbers of rows: {told}")
        if wrong:
            raise Malformed("; ".join(wrong))
        return batch

    @property
    def free(self) -> bool:
        """Whether rows of two requests may differ in shape or dtype."""
        return any(f.dtype == "*" or None in f.shape for f in self.fields.values())

    @property
    def inputs(self) -> list[Tensor]:
        """The inputs as the protocol's metadata say them."""
        return [
            Tensor(f.name, _datatype(f), (-1, *(-1 if n is None else n for n in f.shape)))
            for f in self.fields.values()
        ]

    def sample(self, rows: int = 1, free: int = 1) -> Batch:
        """Return rows that keep the contract: lowest values, first categories.

        Args:
            rows: How many.
            free: Length of dimensions that may have any.
        """
        return {name: _sample(field, rows, free) for name, field in self.fields.items()}


def contract_of(model: Model, steps: Sequence[Transformer]) -> Contract:
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
    return Contract({field.name: field for field in schema.features})


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


def _datatype(field: Field) -> str:
    if field.dtype == "str":
        return "BYTES"
    return "FP32" if field.dtype == "*" else datatype_of(np.dtype(field.dtype))


def _checked(field: Field, array: Array, datatype: str) -> tuple[str, Array]:
    """Return what is wrong with a tensor, if anything, and the column it makes."""
    wanted = field.shape
    fits = array.ndim == len(wanted) + 1 and all(
        there in (None, here) for here, there in zip(array.shape[1:], wanted, strict=True)
    )
    if not fits:
        told = ", ".join(["rows", *("any" if n is None else str(n) for n in wanted)])
        return f"shape {list(array.shape)}, not [{told}]", array
    if field.dtype == "str":
        return _text(array, datatype)
    dtype = array.dtype if field.dtype == "*" else _dtype(field.dtype)
    if array.dtype.kind == "O" or not (array.dtype == dtype or np.can_cast(array.dtype, dtype)):
        return f"datatype {datatype}, not {_datatype(field)}", array
    column = array if array.dtype == dtype else array.astype(dtype)
    if column.dtype.kind == "f" and not _finite(column):
        bad = ~np.isfinite(column.reshape(len(column), -1)).all(axis=1)
        return f"NaN or infinity in row {int(bad.argmax())}", column
    if column.dtype.kind in "iu" and field.categories is not None and column.size:
        low, high = int(column.min()), int(column.max())
        if low < 0 or high >= len(field.categories):
            return f"codes from {low} to {high}, not 0 to {len(field.categories) - 1}", column
    return "", column


@cache
def _dtype(name: str) -> np.dtype[Any]:
    return np.dtype(name)


def _text(array: Array, datatype: str) -> tuple[str, Array]:
    if array.dtype.kind != "O":
        return f"datatype {datatype}, not BYTES", array
    try:
        texts = [value.decode() for value in array.ravel()]
    except UnicodeDecodeError:
        return "not UTF-8", array
    return "", np.array(texts, dtype=np.str_).reshape(array.shape)


def _finite(column: Array) -> bool:
    """Tell whether all is finite; one sum says it of nearly every column."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(column.sum())) or bool(np.isfinite(column).all())


def _sample(field: Field, rows: int, free: int) -> Array:
    shape = (rows, *(free if n is None else n for n in field.shape))
    if field.dtype == "str":
        return np.full(shape, field.categories[0] if field.categories else "")
    low = 0.0 if field.range is None or not np.isfinite(field.range[0]) else field.range[0]
    return np.full(shape, low, dtype="float32" if field.dtype == "*" else field.dtype)
