"""A file of raw rows, made ready for a model: what somebody else wants it compared on."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.errors import ConfigError, DataError
from aeros_core.fields.categories import code_of_unknown, factored, recoded
from aeros_core.files import npz
from aeros_core.models import safetensors
from aeros_core.preprocessing import pipeline
from aeros_core.records import Model
from aeros_core.roles.transformer import Transformer
from aeros_core.schema import Field, Unknown

__all__ = ["FILES", "read"]

FILES = (".npz", ".safetensors", ".csv")

_DAMAGED = (OSError, ValueError, csv.Error)


def read(path: Path, model: Model, steps: Iterable[Transformer]) -> Batch:
    """Return the rows of a file as a model takes them.

    Args:
        path: Raw rows, what a request brings: a numpy archive or safetensors with an array
            for each field, or separated text with a column for each.
        model: What takes them.
        steps: Its transformers, which prepare them.

    Raises:
        ConfigError: There is no such file, or it lacks a field.
        DataError: It is damaged, or holds what such a field cannot be.
    """
    fields = (model.inputs or model.schema).features
    columns = _columns(path)
    if lost := [field for field in fields if field.name not in columns]:
        raise ConfigError(
            f"{path} has no '{lost[0].name}', which model '{model.name}' takes",
            exists=", ".join(columns) or "nothing at all",
            hint="one row a sample, as a request brings them: " + "; ".join(map(str, fields)),
        )
    raw = {field.name: _column(path, field, columns[field.name]) for field in fields}
    lengths = {name: len(column) for name, column in raw.items()}
    if len({*lengths.values()}) > 1 or 0 in lengths.values():
        told = ", ".join(f"{number} of {name}" for name, number in lengths.items())
        raise DataError(f"{path} holds {told}: each has to have as many rows, and at least one")
    rows = pipeline.transform(steps, raw)
    return {field.name: rows[field.name] for field in model.schema.features}


def _columns(path: Path) -> Mapping[str, Array]:
    if path.suffix not in FILES:
        raise ConfigError(f"{path} is no file of samples", exists=f"files in {', '.join(FILES)}")
    if not path.is_file():
        raise ConfigError(f"{path} does not exist", hint="--samples FILE.npz")
    if path.suffix == ".safetensors":
        return dict(safetensors.load(path, "samples").parameters.items())
    try:
        return _archive(path) if path.suffix == ".npz" else _text(path)
    except _DAMAGED as error:
        said = " ".join(str(error).split())[:120]
        raise DataError(f"{path} cannot be read: {said}", hint="write it anew") from error


def _archive(path: Path) -> Mapping[str, Array]:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no whole .npz")
    return npz.read(path.read_bytes(), path)


def _text(path: Path) -> Mapping[str, Array]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        names, *rows = csv.reader(file, strict=True)
    for number, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise ValueError(f"line {number} has {len(row)} values, the first has {len(names)}")
    return {name: np.array([row[i] for row in rows], object) for i, name in enumerate(names)}


def _column(path: Path, field: Field, column: Array) -> Array:
    """Return what a file holds of a field, in its dtype."""
    there, wanted = column.shape[1:], field.shape
    fits = len(there) == len(wanted) and all(
        w in (None, n) for n, w in zip(there, wanted, strict=True)
    )
    if not column.ndim or not fits:
        more = "; a .csv has one value a column, take .npz" if path.suffix == ".csv" else ""
        raise ConfigError(
            f"'{field.name}' of {path} is of shape {column.shape}",
            exists="(rows" + "".join(f", {'*' if n is None else n}" for n in wanted) + ")",
            hint=f"one row a sample: {field}{more}",
        )
    try:
        values = _typed(field, column)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"'{field.name}' of {path} is no {field}: {error}") from error
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"'{field.name}' of {path} holds NaN or infinity", hint="leave it out")
    return values


def _texts(column: Array) -> Array:
    """Return values as texts, each as long as it is."""
    texts = np.empty(column.size, object)
    texts[:] = [str(value) for value in column.ravel()]
    return texts.reshape(column.shape)


def _typed(field: Field, column: Array) -> Array:
    if field.dtype == "str":
        return _texts(column)
    if field.categories is not None and column.dtype.kind in "OU":
        column = _coded(field, column)
    text = column.dtype.kind in "OU"
    if not text and not np.can_cast(column.dtype, field.dtype, "same_kind"):
        raise TypeError(f"it is of dtype {column.dtype}")
    values: Array = column.astype(field.dtype).reshape(len(column), *column.shape[1:])
    if field.categories is not None and values.dtype.kind in "iu":
        top = len(field.categories) - 1
        strange = (values < 0) | (values > top)
        if strange.any() and field.unknown is Unknown.refuse:
            raise ValueError(f"codes are 0 to {top}")
        values[strange] = code_of_unknown(field)
    return values


def _coded(field: Field, column: Array) -> Array:
    """Return the codes of names; a whole number that is no name is a code already.

    Raises:
        ValueError: There are others, and the field refuses unknown values.
    """
    names, places = factored(column)
    codes, unknown = recoded(field, names, places)
    numbers = {name: int(name) for name in unknown if name.isdecimal()}
    if field.unknown is Unknown.refuse:
        for name in unknown:
            if name not in numbers:
                raise ValueError(f"'{name}' is none of {', '.join((field.categories or ())[:10])}")
    table = np.array([numbers.get(name, -1) for name in names], np.int64)
    own: Array = table[places]
    return np.where(own < 0, codes, own)
