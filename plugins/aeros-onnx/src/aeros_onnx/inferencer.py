"""The inferencer: answers batches with a graph on onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.errors import ConfigError, DataError
from aeros_core.records import Model, Module
from aeros_core.schema import Field
from aeros_onnx import Quantise
from aeros_onnx.export import serialised, written
from aeros_onnx.graph import holds_graph, runnable
from aeros_onnx.session import OnnxSession, providers, quantised

__all__ = ["OnnxInferencer"]


class OnnxInferencer:
    """Answers with the graph's outputs; those of models trained here are `scores` and `label`.

    Args:
        device: auto, cpu, cuda or cuda:<number>.
        threads: Threads within one operator.
        batch_size: Rows that are computed at once.
        quantise: none, or int8 for matrix products.

    Raises:
        ConfigError: There is no such device, or a number is below 1.
    """

    def __init__(self, *, device: str, threads: int, batch_size: int, quantise: Quantise | str):
        for name, value in (("batch_size", batch_size), ("threads", threads)):
            if value < 1:
                raise ConfigError(f"inferencer.{name}={value} is not possible", exists="1 or more")
        providers(device)
        self._options: Mapping[str, Any] = {"device": device, "threads": threads}
        self._batch_size = batch_size
        self._int8 = (quantise if isinstance(quantise, Quantise) else Quantise[quantise]) is (
            Quantise.int8
        )
        self._running: OnnxSession | None = None
        self._fields: tuple[Field, ...] = ()
        self._names: tuple[str, ...] = ()
        self._fixed: int | None = None

    def load(self, model: Model, module: Module | None = None) -> None:
        """Take up a graph, or have the model's module written as one.

        Raises:
            ConfigError: No plugin can write it.
            DataError: The graph does not answer as the module does.
            RepositoryError: onnxruntime cannot run it.
        """
        if self._int8:
            running = OnnxSession(quantised(written(model, module)), **self._options)
        elif holds_graph(model):
            data, weights = runnable(model)
            running = OnnxSession(data, weights=weights, **self._options)
        else:
            running = OnnxSession(serialised(model, module), **self._options)
        self._fields = tuple(f for f in model.schema.features if f.name in running.inputs)
        if missing := running.inputs.keys() - {f.name for f in self._fields}:
            raise ConfigError(
                f"the graph of '{model.name}' takes '{min(missing)}', which its schema lacks",
                exists=", ".join(model.schema.names),
            )
        self._names = model.schema.names
        self._fixed = running.fixed_rows
        self._running = running

    @property
    def fixed_rows(self) -> int | None:
        """Rows that the loaded graph takes at a time, no other number; None: any."""
        return self._fixed

    def predict(self, batch: Batch) -> Batch:
        """Return the graph's outputs; the target may be in the batch.

        Raises:
            ConfigError: No model is loaded, or the fields are not the model's.
            DataError: A code is none of the field's categories.
        """
        if self._running is None:
            raise ConfigError("no model is loaded", hint="call load first")
        if unknown := [name for name in batch if name not in self._names]:
            raise ConfigError(
                f"the batch has a field '{unknown[0]}'; its fields are {', '.join(batch)}",
                exists=f"the model takes {', '.join(map(str, self._fields))}",
            )
        columns = {field.name: _column(batch, field) for field in self._fields}
        rows = len(next(iter(columns.values())))
        at_once = self._fixed or self._batch_size
        parts = [
            self._computed({n: c[start : start + at_once] for n, c in columns.items()})
            for start in range(0, max(rows, 1), at_once)
        ]
        return parts[0] if len(parts) == 1 else _joined(parts)

    def _computed(self, columns: dict[str, Array]) -> dict[str, Array]:
        """Return the outputs for some rows; those of a fixed number are filled up, and cut."""
        assert self._running is not None  # noqa: S101 - predict has looked
        rows = len(next(iter(columns.values())))
        if self._fixed is None or self._fixed == rows:
            return self._running(columns)
        fixed = self._fixed
        outputs = self._running({name: _filled(c, fixed) for name, c in columns.items()})
        return {name: output[:rows] for name, output in outputs.items()}


def _filled(column: Array, rows: int) -> Array:
    """Return a column with its last row repeated up to a number of rows; zeros where it has none.

    A row that is there already brings no value that the graph was not given.
    """
    if not len(column):
        return np.full(
            (rows, *column.shape[1:]), "" if column.dtype.kind == "O" else 0, column.dtype
        )
    return np.concatenate([column, np.repeat(column[-1:], rows - len(column), axis=0)])


def _joined(parts: list[dict[str, Array]]) -> Mapping[str, Array]:
    for name in parts[0]:
        shapes = dict.fromkeys(part[name].shape[1:] for part in parts)
        if len(shapes) > 1:
            raise ConfigError(
                f"output '{name}' of the graph has another shape for each row:"
                f" {', '.join(map(str, [*shapes][:3]))}",
                hint="ask with one row at a time",
            )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _column(batch: Batch, field: Field) -> Array:
    """Return a field as the graph takes it, after looking at it closely."""
    if field.name not in batch:
        raise ConfigError(
            f"the batch has no field '{field.name}'; its fields are {', '.join(batch) or 'none'}",
            exists=f"the model takes {field}",
        )
    array = np.asarray(batch[field.name])
    dtype = np.dtype(object if field.dtype == "str" else field.dtype)
    same = dtype.kind == "O" or np.can_cast(array.dtype, dtype, "same_kind")
    if not same or not _fits(array, field):
        raise ConfigError(
            f"field '{field.name}' is {array.dtype} {array.shape}",
            exists=f"the model takes {field} for each row",
        )
    if dtype.kind == "i" and field.categories is not None:
        _check_codes(array, field.name, len(field.categories))
    return np.ascontiguousarray(array, dtype)


def _fits(array: Array, field: Field) -> bool:
    return array.ndim == len(field.shape) + 1 and all(
        there in (None, here) for here, there in zip(array.shape[1:], field.shape, strict=True)
    )


def _check_codes(array: Array, name: str, count: int) -> None:
    if array.size and not 0 <= int(array.min()) <= int(array.max()) < count:
        raise DataError(
            f"field '{name}' holds codes from {array.min()} to {array.max()}",
            hint=f"codes of this model are 0 to {count - 1}",
        )
