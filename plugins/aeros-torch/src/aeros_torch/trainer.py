"""The trainer: options checked at once, one module for each schema, one engine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError, DataError
from aeros_core.messages import Instruction, Metrics, Update
from aeros_core.parameters import Parameters
from aeros_core.roles import Module
from aeros_core.schema import Field, Schema
from aeros_torch.batches import Feed, Resident
from aeros_torch.config import Engine
from aeros_torch.engines import compiled
from aeros_torch.evaluation import evaluate
from aeros_torch.expectation import build, expected, outputs, target_of
from aeros_torch.losses import Loss, LossFunction
from aeros_torch.network import Network
from aeros_torch.optimizers import Optimizer
from aeros_torch.runtime import device_of, reproducible
from aeros_torch.schedule import Schedule
from aeros_torch.sequential import Recipe, Sequential
from aeros_torch.stack import stack

if TYPE_CHECKING:
    from aeros_torch.compiled import Compiled

__all__ = ["TorchTrainer"]


@dataclass(frozen=True, slots=True)
class _Workshop:
    """What is made once for a schema."""

    schema: Schema
    network: Network
    feed: Feed
    loss: LossFunction
    sequential: Sequential
    compiled: Compiled | None


class TorchTrainer:
    """Trains an ``nn.Module`` by stochastic gradient descent.

    The options are those of `aeros_torch.config.TorchTrainer`. Optimizer, scheduler and
    loss are tried when the trainer is made, so a bad option fails before any round.

    Raises:
        ConfigError: An option does not exist, is out of range, or does not go with another.
    """

    def __init__(
        self,
        *,
        model: Module,
        engine: Engine | str,
        workers: int,
        optimizer: str,
        lr: float,
        momentum: float | None,
        weight_decay: float | None,
        optimizer_options: Mapping[str, Any],
        scheduler: str | None,
        scheduler_options: Mapping[str, Any],
        warmup: int,
        epochs: int,
        steps: int | None,
        batch_size: int,
        loss: str,
        loss_options: Mapping[str, Any],
        proximal_mu: float,
        clip_norm: float | None,
        device: str,
        threads: int,
        eval_batch_size: int,
        eval_threads: int,
    ):
        _at_least(1, epochs=epochs, steps=steps, batch_size=batch_size, threads=threads)
        _at_least(1, eval_batch_size=eval_batch_size)
        _at_least(0, eval_threads=eval_threads, proximal_mu=proximal_mu, workers=workers)
        if clip_norm is not None and not 0 < clip_norm < math.inf:
            raise ConfigError(f"trainer.clip_norm={clip_norm} is not possible", exists="above 0")
        self._model, self._engine, self._workers = model, Engine(engine), workers
        self._schedule = Schedule(scheduler, scheduler_options, lr, warmup)
        self._loss = Loss(loss, loss_options)
        self._device = device_of("trainer.device", device)
        how = Optimizer(optimizer, lr, momentum, weight_decay, optimizer_options)
        self._recipe = Recipe(how, epochs, steps, batch_size, proximal_mu, clip_norm, threads)
        self._eval_batch_size, self._eval_threads = eval_batch_size, eval_threads
        self._resident = Resident(self._device, keep=self._device.type == "cuda")
        self._made: _Workshop | None = None
        self._said: set[str] = set()

    def expects(self, schema: Schema) -> Schema:
        """Return what the model wants: one field of features, and the target.

        Raises:
            ConfigError: The data have no target, or the loss does not go with it.
        """
        wanted = expected(schema, self._model)
        self._loss.of(target_of(schema))
        return wanted

    def initialise(self, schema: Schema, seed: int) -> Parameters:
        """Return parameters as the module's own layers draw them, from ``seed``.

        Raises:
            ConfigError: The model cannot be built for these data.
        """
        return self._make(schema, seed).network.read()

    def train(self, instruction: Instruction, data: Dataset) -> Update:
        """Train for one round; the update has parameters of its own, on the host.

        Metrics: ``loss``, the mean over the examples as they were trained on. A training
        that diverges comes back as it is; the core refuses what is not finite.

        Raises:
            ConfigError: The parameters are of another model.
            DataError: There is no example, or too few for the model.
        """
        return next(self.train_cohort([instruction], [data]))

    def train_cohort(
        self, instructions: Sequence[Instruction], data: Sequence[Dataset]
    ) -> Iterator[Update]:
        """Yield the update of each instruction, in order, as `train` gives it.

        An error ends it in place of the update that it is about.
        """
        if not instructions:
            return
        made = self._for(data[0].schema)
        rounds = [instruction.round for instruction in instructions]
        of_round = {number: self._schedule(number) for number in set(rounds)}
        rates = [of_round[number] for number in rounds]
        if made.compiled is None:
            for instruction, some, rate in zip(instructions, data, rates, strict=True):
                _some(some)
                yield made.sequential.train(instruction, some, rate)
            return
        ready = next((i for i, some in enumerate(data) if not len(some)), len(data))
        yield from made.compiled.train(instructions[:ready], data[:ready], rates[:ready])
        for some in data[ready : ready + 1]:
            _some(some)

    def evaluate(self, parameters: Parameters, data: Dataset) -> Metrics:
        """Return ``loss`` and ``accuracy`` for classes; ``loss``, ``mae`` and ``rmse`` else.

        Raises:
            ConfigError: The parameters are of another model.
            DataError: There is no example.
        """
        _some(data)
        made = self._for(data.schema)
        if made.compiled is not None:
            return made.compiled.evaluate(parameters, data)
        made.network.load(parameters)
        workers = self._eval_threads or torch.get_num_threads()
        with reproducible(self._device, 0, 1):
            return evaluate(
                made.network.module,
                made.feed,
                made.loss,
                data,
                batch_size=self._eval_batch_size,
                workers=1 if self._device.type == "cuda" else workers,
            )

    def _for(self, schema: Schema) -> _Workshop:
        made = self._made
        return made if made is not None and made.schema == schema else self._make(schema, 0)

    def _make(self, schema: Schema, seed: int) -> _Workshop:
        network = build(schema, self._model, self._device, seed)
        target = target_of(schema)
        feed = Feed(
            feature=schema.features[0].name,
            target=target.name,
            outputs=None if target.categories is not None else outputs(target),
            resident=self._resident,
            smallest=2 if network.needs_pairs else 1,
        )
        loss = self._loss.of(target)
        sequential = Sequential(self._recipe, network, feed, loss)
        self._made = _Workshop(
            schema, network, feed, loss, sequential, self._compile(network, feed.feature, target)
        )
        return self._made

    def _compile(self, network: Network, feature: str, target: Field) -> Compiled | None:
        found = stack(network, self._recipe, self._loss, target)
        classes = None if target.categories is None else len(target.categories)
        if not compiled(self._engine, found, self._said) or isinstance(found, str):
            return None
        from aeros_torch.columns import Columns
        from aeros_torch.compiled import Compiled  # not before: it takes numba along

        columns = Columns(feature, target.name, classes)
        return Compiled(self._recipe, found, network, columns, self._workers)


def _at_least(lowest: int, **options: float | None) -> None:
    for name, value in options.items():
        if value is not None and not lowest <= value < math.inf:
            raise ConfigError(f"trainer.{name}={value} is not possible", exists=f"{lowest} or more")


def _some(data: Dataset) -> None:
    if not len(data):
        raise DataError(
            "the data hold no example",
            hint="cut them into fewer clients, or leave this node out",
        )
