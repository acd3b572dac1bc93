"""The inferencer: answers batches with a module and its stored parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.errors import ConfigError, DataError, PluginError
from aeros_core.records import Model, Module
from aeros_core.schema import Field, Schema
from aeros_torch.config import Execution, Quantise
from aeros_torch.inference.int8 import quantise as quantised
from aeros_torch.inference.integrated_gradients import integrated
from aeros_torch.inference.torch_compile import CompiledModule
from aeros_torch.modules.builder import build, outputs, target_of
from aeros_torch.modules.device import device_of, reproducible

__all__ = ["TorchInferencer"]


@dataclass(frozen=True, slots=True)
class _Loaded:
    schema: Schema
    module: Callable[[Tensor], Tensor]
    differentiable: nn.Module | None
    classes: bool
    shape: tuple[int, ...]

    @property
    def feature(self) -> Field:
        return self.schema.features[0]


class TorchInferencer:
    """Answers with ``scores``, and ``label`` for classes.

    ``scores`` are probabilities (rows, classes), float32, or the values themselves
    in the target's shape; ``label`` is the code of the likeliest class, int64 (rows,), of
    which ``schema[target].categories`` has the name.

    Args:
        device: auto, cpu, cuda or cuda:<number>.
        batch_size: Rows that go through the module at once.
        threads: Threads within one operator.
        execution: eager or compile.
        quantise: none, or int8 for dense layers.

    Raises:
        ConfigError: There is no such device, a number is below 1, or 8 bits are to be
            compiled.
    """

    def __init__(
        self,
        *,
        device: str,
        batch_size: int,
        threads: int,
        execution: Execution | str,
        quantise: Quantise | str,
    ):
        for name, value in (("batch_size", batch_size), ("threads", threads)):
            if value < 1:
                raise ConfigError(f"inferencer.{name}={value} is not possible", exists="1 or more")
        self._device = device_of("inferencer.device", device)
        self._batch_size, self._threads = batch_size, threads
        self._compile = Execution(execution) is Execution.compile
        self._int8 = Quantise(quantise) is Quantise.int8
        if self._compile and self._int8:
            raise ConfigError(
                "inferencer.quantise=int8 does not go with inferencer.execution=compile",
                hint="inferencer.execution=eager",
            )
        self._loaded: _Loaded | None = None

    def load(self, model: Model, module: Module | None = None) -> None:
        """Build the module for the model's schema, and take up its parameters.

        Raises:
            ConfigError: No module is named, or it does not fit the parameters.
        """
        if module is None:
            raise ConfigError(
                f"model '{model.name}' does not say which module it is",
                hint="inferencer=onnx answers with graphs; trainer=torch trains modules",
            )
        network = build(model.schema, module, self._device, held=model.parameters)
        target = target_of(model.schema)
        classes = target.categories is not None
        shape = (outputs(target),) if classes or target.shape else ()
        whole = network.module.eval().requires_grad_(False)
        prepared = self._prepared(whole, model.schema.features[0])
        smooth = None if self._int8 else whole
        self._loaded = _Loaded(model.schema, prepared, smooth, classes, shape)

    def _prepared(self, module: nn.Module, field: Field) -> Callable[[Tensor], Tensor]:
        if self._int8:
            return quantised(module, self._device)
        if not self._compile:
            return module
        shape = [1, *(length or 1 for length in field.shape)]
        example = torch.zeros(shape, dtype=getattr(torch, field.dtype), device=self._device)
        with reproducible(self._device, 0, self._threads):
            return CompiledModule(module, example)

    def predict(self, batch: Batch) -> Batch:
        """Return ``scores`` and, for classes, ``label``; the target may be in the batch.

        Raises:
            ConfigError: No model is loaded, or the fields are not the model's.
            DataError: A code is none of the field's categories.
        """
        loaded = self._loaded
        if loaded is None:
            raise ConfigError("no model is loaded", hint="call load first")
        examples = _examples(batch, loaded.schema, loaded.feature)
        scores = np.empty((len(examples), *loaded.shape), dtype=np.float32)
        with reproducible(self._device, 0, self._threads), torch.no_grad():
            for start in range(0, len(examples), self._batch_size):
                part = slice(start, start + self._batch_size)
                output = loaded.module(torch.from_numpy(examples[part]).to(self._device))
                output = output.softmax(1) if loaded.classes else output
                scores[part] = output.cpu().numpy().reshape(scores[part].shape)
        return (
            {"scores": scores, "label": scores.argmax(1)} if loaded.classes else {"scores": scores}
        )

    def explain(
        self, batch: Batch, columns: NDArray[np.int64], *, steps: int, baseline: Batch | None
    ) -> tuple[Batch, Array]:
        """Return what each value contributed to one of a row's scores: integrated gradients.

        Args:
            batch: Rows, as `predict` takes them.
            columns: Which score of each row (rows,).
            steps: Points at which gradients are taken.
            baseline: Rows to start from; None: zeros.

        Raises:
            ConfigError: No model is loaded, or the fields are not the model's.
            PluginError: captum is not installed, or the model has no gradients: it takes
                codes, or computes in 8 bits.
        """
        loaded = self._loaded
        if loaded is None:
            raise ConfigError("no model is loaded", hint="call load first")
        module = _smooth(loaded)
        examples = _examples(batch, loaded.schema, loaded.feature)
        start = np.zeros_like(examples)
        if baseline is not None:
            start = _examples(baseline, loaded.schema, loaded.feature)

        def score(x: Tensor) -> Tensor:
            output: Tensor = module(x)
            return output.softmax(1) if loaded.classes else output.reshape(len(x), -1)

        with reproducible(self._device, 0, self._threads):
            x, zero, place = (
                torch.tensor(array, device=self._device) for array in (examples, start, columns)
            )
            shares, base = integrated(score, x, zero, place, steps=steps, at_once=self._batch_size)
        return {loaded.feature.name: shares.cpu().numpy()}, base.cpu().numpy()


def _smooth(loaded: _Loaded) -> nn.Module:
    if loaded.differentiable is None:
        raise PluginError(
            "inferencer.quantise=int8 rounds, so its answers have no gradients to explain them by",
            hint="inferencer.quantise=none",
        )
    if not loaded.feature.dtype.startswith("float"):
        raise PluginError(
            f"'{loaded.feature.name}' holds codes, and integrated gradients follow numbers",
            hint="models of images and tables can be explained",
        )
    return loaded.differentiable


def _examples(batch: Batch, schema: Schema, field: Field) -> Array:
    """Return a batch's feature as the module takes it, after looking at it closely."""
    unknown = [name for name in batch if name not in schema]
    if unknown or field.name not in batch:
        wrong = f"no field '{field.name}'" if field.name not in batch else f"a field '{unknown[0]}'"
        raise ConfigError(
            f"the batch has {wrong}; its fields are {', '.join(batch) or 'none'}",
            exists=f"the model takes {field}",
        )
    array = np.asarray(batch[field.name])
    if not np.can_cast(array.dtype, field.dtype, "same_kind") or not _fits(array, field):
        raise ConfigError(
            f"field '{field.name}' is {array.dtype} {array.shape}",
            exists=f"the model takes {field} for each row",
        )
    if field.dtype == "int64" and field.categories is not None:
        _check_codes(array, field.name, len(field.categories))
    kind = np.dtype(field.dtype)
    return np.require(array, kind, ["C", "W"])


def _fits(array: Array, field: Field) -> bool:
    wanted = field.shape
    return array.ndim == len(wanted) + 1 and all(
        there in (None, here) for here, there in zip(array.shape[1:], wanted, strict=True)
    )


def _check_codes(array: Array, name: str, count: int) -> None:
    if array.size and not 0 <= int(array.min()) <= int(array.max()) < count:
        raise DataError(
            f"field '{name}' holds codes from {array.min()} to {array.max()}",
            hint=f"codes of this model are 0 to {count - 1}",
        )
