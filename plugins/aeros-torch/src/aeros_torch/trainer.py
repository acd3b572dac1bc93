"""The trainer: options checked at once, one module for each schema, one engine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aeros_core.data import Dataset
from aeros_core.errors import DataError
from aeros_core.messages import Failure, Instruction, Metrics, Update
from aeros_core.options.ranges import check_range
from aeros_core.parameters import Parameters
from aeros_core.records import Module
from aeros_core.roles.disclosure import Disclosure
from aeros_core.schema import Schema
from aeros_torch.config import Engine, Precision
from aeros_torch.engines.selection import Engines
from aeros_torch.modules.builder import input_schema, target_of
from aeros_torch.training.batches import Batches
from aeros_torch.training.context import TrainingContext
from aeros_torch.training.lr_schedule import Schedule
from aeros_torch.training.setup import TrainingSetup

__all__ = ["TorchTrainer"]


class TorchTrainer:
    """Trains an ``nn.Module`` by stochastic gradient descent.

    The options are those of `aeros_torch.config.TorchTrainer`. Optimizer, scheduler and
    loss are tried when the trainer is made, so a bad option fails before any round.

    Raises:
        ConfigError: An option does not exist, is out of range, or does not go with another.
    """

    discloses = frozenset({Disclosure.counts, Disclosure.sums, Disclosure.updates})

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
        precision: Precision | str,
        eval_batch_size: int,
        eval_threads: int,
    ):
        options = {o: v for o, v in locals().items() if o not in ("self", "model")}
        _at_least(1, epochs=epochs, steps=steps, batch_size=batch_size, threads=threads)
        _at_least(1, eval_batch_size=eval_batch_size)
        _at_least(0, eval_threads=eval_threads, proximal_mu=proximal_mu, workers=workers)
        fits = clip_norm is None or 0 < clip_norm < math.inf
        check_range("trainer.clip_norm", clip_norm, fits, "above 0")
        self._model, self._engine = model, Engine(engine)
        self._schedule = Schedule(scheduler, scheduler_options, lr, warmup)
        self._setup = TrainingSetup(model, options)
        self._made: Engines | None = None
        self._said: set[str] = set()

    def expects(self, schema: Schema) -> Schema:
        """Return what the model wants: one field of features, and the target.

        Raises:
            ConfigError: The data have no target, or the loss does not go with it.
        """
        wanted = input_schema(schema, self._model)
        self._setup.loss.of(target_of(schema))
        return wanted

    def initialise(self, schema: Schema, seed: int) -> Parameters:
        """Return parameters as the module's own layers draw them, from ``seed``.

        Raises:
            ConfigError: The model cannot be built for these data.
        """
        return self._make(schema, seed).context.network.read()

    def train(self, instruction: Instruction, data: Dataset) -> Update:
        """Train for one round; the update has parameters of its own, on the host.

        Metrics: ``loss``, the mean over the examples as they were trained on. A training
        that diverges comes back as it is; the core refuses what is not finite.

        Raises:
            ConfigError: The parameters are of another model.
            DataError: There is no example, or too few for the model.
        """
        made = self._for(data.schema)
        made.context.feed.check(data)
        reply = next(self._trained(made, [instruction], [data]))
        if isinstance(reply, Failure):
            raise DataError(reply.reason)
        return reply

    def train_cohort(
        self, instructions: Sequence[Instruction], data: Sequence[Dataset]
    ) -> Iterator[Update | Failure]:
        """Yield the reply to each instruction, in order: the update that `train` returns.

        A node without an example, or with too few for the model, is a `Failure`.

        Raises:
            ConfigError: The parameters are of another model.
        """
        if not instructions:
            return
        made = self._for(data[0].schema)
        wrong = _wrong(made.context.feed, data)
        if not any(wrong):
            yield from self._trained(made, instructions, data)
            return
        ready = [place for place, reason in enumerate(wrong) if not reason]
        trained = self._trained(made, [instructions[i] for i in ready], [data[i] for i in ready])
        for instruction, reason in zip(instructions, wrong, strict=True):
            if reason:
                yield Failure(instruction.node, instruction.round, reason)
            else:
                yield next(trained)

    def _trained(
        self, made: Engines, instructions: Sequence[Instruction], data: Sequence[Dataset]
    ) -> Iterator[Update | Failure]:
        rounds = [instruction.round for instruction in instructions]
        of_round = {number: self._schedule(number) for number in set(rounds)}
        rates = [of_round[number] for number in rounds]
        return made.pick(len(instructions)).train(instructions, data, rates)

    def evaluate(self, parameters: Parameters, data: Dataset) -> Metrics:
        """Return ``loss`` and ``accuracy`` for classes; ``loss``, ``mae`` and ``rmse`` else.

        Raises:
            ConfigError: The parameters are of another model.
            DataError: There is no example.
        """
        made = self._for(data.schema)
        made.context.feed.some(data)
        return made.pick(1).evaluate(parameters, data)

    def _for(self, schema: Schema) -> Engines:
        made = self._made
        return made if made is not None and made.context.schema == schema else self._make(schema, 0)

    def _make(self, schema: Schema, seed: int) -> Engines:
        made = Engines(self._engine, self.context(schema, seed), self._said)
        made.pick(1)
        self._made = made
        return made

    def context(self, schema: Schema, seed: int = 0) -> TrainingContext:
        """Return a module for these data, and all that an engine needs to train it.

        Raises:
            ConfigError: The model cannot be built for these data.
        """
        return self._setup.context(schema, seed)


def _wrong(feed: Batches, data: Sequence[Dataset]) -> list[str]:
    """Return why each of these cannot be trained on, "" if it can; tables are looked at once."""
    good: set[int] = set()
    reasons = []
    for some in data:
        if id(some.columns) in good and len(some) >= feed.smallest:
            reasons.append("")
            continue
        try:
            feed.check(some)
            reasons.append("")
            good.add(id(some.columns))
        except DataError as error:
            reasons.append(f"DataError: {error}")
    return reasons


def _at_least(lowest: int, **options: float | None) -> None:
    for name, value in options.items():
        fits = value is None or lowest <= value < math.inf
        check_range(f"trainer.{name}", value, fits, f"{lowest} or more")
