"""The inferencer: answers batches with a graph on onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aeros_core.data import Batch
from aeros_core.errors import ConfigError, DataError
from aeros_core.parameters import Array
from aeros_core.records import Model
from aeros_core.roles import Module
from aeros_core.schema import Field
from aeros_onnx import Quantise
from aeros_onnx.session import Running, providers, quantised
from aeros_onnx.writing import serialised, written

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
        self._running: Running | None = None
        self._fields: tuple[Field, ...] = ()
        self._names: tuple[str, ...] = ()

    def load(self, model: Model, module: Module | None = None) -> None:
        """Take up a graph, or have the model's module written as one.

        Raises:
            ConfigError: No plugin can write it.
            DataError: The graph does not answer as the module does.
            RepositoryError: onnxruntime cannot run it.
        """
        if self._int8:
            running = Running(quantised(written(model, module)), **self._options)
        else:
            running = Running(serialised(model, module), **self._options)
        self._fields = tuple(f for f in model.schema.features if f.name in running.inputs)
        if missing := running.inputs.keys() - {f.name for f in self._fields}:
            raise ConfigError(
                f"the graph of '{model.name}' takes '{min(missing)}', which its schema lacks",
                exists=", ".join(model.schema.names),
            )
        self._names = model.schema.names
        self._running = running

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
        starts = range(0, max(rows, 1), self._batch_size)
        parts = [
            self._running({n: c[start : start + self._batch_size] for n, c in columns.items()})
            for start in starts
        ]
        return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: list[dict[str, Array]]) -> Mapping[str, Array]:
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
