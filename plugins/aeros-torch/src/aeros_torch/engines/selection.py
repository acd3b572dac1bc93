"""Which engine trains a network.

An engine is added in three lines: a function that makes it for a `TrainingContext` or says why
it cannot, one that tells whether it pays, and a `EngineOption` in `ENGINES`. Engines import what is
heavy (numba, multiprocessing) when they are made, not before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch.nn.modules.conv import _ConvNd

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError
from aeros_core.messages import Failure, Instruction, Metrics, Update
from aeros_core.parameters import Parameters
from aeros_torch.config import Engine
from aeros_torch.engines.compiled.architecture import recognise
from aeros_torch.engines.sequential import SequentialEngine
from aeros_torch.modules.device import cores
from aeros_torch.training.context import TrainingContext

__all__ = ["ENGINES", "EngineOption", "Engines", "TrainingEngine"]

_log = logging.getLogger(__name__)

_SEVERAL, _SHORT = 8, 2**16
"""At least so many clients and at most so many parameters: then stacking pays on the CPU."""

_START = 2.0
"""Seconds that a worker process takes to import torch and to build its model."""

_SMALL = 0.002
"""Seconds of a client from which on handing it to another process pays."""


class TrainingEngine(Protocol):
    """Trains the clients of a cohort, and measures parameters."""

    def train(
        self, instructions: Sequence[Instruction], data: Sequence[Dataset], rates: Sequence[float]
    ) -> Iterator[Update | Failure]:
        """Yield the reply to each instruction, in order; some may be trained ahead.

        Args:
            instructions: What to start from.
            data: Data of each node, as many examples as `Feed.check` asks for.
            rates: Learning rate of each.

        Raises:
            ConfigError: The parameters are of another model.
        """

    def evaluate(self, parameters: Parameters, data: Dataset) -> Metrics:
        """Return the metrics that `evaluation.evaluate` returns, of at least one example.

        Raises:
            ConfigError: The parameters are of another model.
        """


@dataclass(frozen=True, slots=True)
class EngineOption:
    """An engine that can be chosen.

    Args:
        engine: What users type; several ways may have the same name.
        make: Makes the engine, or says why it cannot train here.
        pays: Tells whether auto should take it for so many clients.
    """

    engine: Engine
    make: Callable[[TrainingContext], TrainingEngine | str]
    pays: Callable[[TrainingContext, int], bool]


def _dense(context: TrainingContext) -> TrainingEngine | str:
    found = recognise(context)
    if isinstance(found, str):
        return found
    from aeros_torch.engines.compiled.engine import (
        CompiledEngine,  # not before: it takes numba along
    )

    return CompiledEngine(context, found)


def _stacked(context: TrainingContext) -> TrainingEngine | str:
    from aeros_torch.engines.vectorised.engine import VectorisedEngine
    from aeros_torch.engines.vectorised.optimizers import rule
    from aeros_torch.engines.vectorised.stacked_module import stackable

    how = rule(context.recipe.optimizer)
    if isinstance(how, str):
        return how
    if reason := stackable(context):
        return reason
    return VectorisedEngine(context, how)


def _alike(context: TrainingContext, clients: int) -> bool:
    """Tell whether stacking pays: on a GPU always, on the CPU where operators are short."""
    network = context.network
    if network.device.type != "cpu":
        return clients > 1
    convolves = any(isinstance(part, _ConvNd) for part in network.module.modules())
    return clients >= _SEVERAL and len(network.weights) <= _SHORT and not convolves


def _processes(context: TrainingContext) -> TrainingEngine | str:
    from aeros_torch.engines.processes.engine import workers

    return workers(context)


def _several(context: TrainingContext, clients: int) -> bool:
    """Tell whether processes pay: they take as long to start as has been spent already."""
    alone = clients < 2 or context.workers == 1 or context.network.device.type != "cpu"
    return (
        not alone and context.pace.seconds > _START and context.pace.each > _SMALL and cores() > 1
    )


def _always(_shop: TrainingContext, _clients: int) -> bool:
    return True


ENGINES: Sequence[EngineOption] = (
    EngineOption(Engine.compiled, _dense, _always),
    EngineOption(Engine.cohort, _stacked, _alike),
    EngineOption(Engine.workers, _processes, _several),
    EngineOption(Engine.sequential, SequentialEngine, _always),
)
"""Every engine; auto takes the first that can and pays."""


class Engines:
    """The engines of a workshop, each made when it is first taken.

    Args:
        asked: The option ``trainer.engine``.
        context: Where they train.
        said: Reasons that were logged before; new ones are added.
    """

    def __init__(self, asked: Engine, context: TrainingContext, said: set[str]):
        self.context = context
        self._asked, self._said = asked, said
        self._made: dict[int, TrainingEngine | str] = {}

    def pick(self, clients: int) -> TrainingEngine:
        """Return the engine for so many clients; log why a faster one cannot, once.

        Raises:
            ConfigError: An engine was asked for by name and cannot train this.
        """
        reasons: dict[Engine, str] = {}
        for number, way in enumerate(ENGINES):
            if not self._considers(way, clients):
                continue
            if number not in self._made:
                self._made[number] = way.make(self.context)
            found = self._made[number]
            if not isinstance(found, str):
                reasons.pop(way.engine, None)
                self._say(reasons, way.engine)
                return found
            known = reasons.get(way.engine)
            reasons[way.engine] = f"{known}; {found}" if known else found
        reason = reasons.get(self._asked, "there is no such engine")
        raise ConfigError(
            f"trainer.engine={self._asked.name} cannot train this: {reason}",
            exists=", ".join(engine.name for engine in Engine),
            hint="trainer.engine=auto",
        )

    def _considers(self, way: EngineOption, clients: int) -> bool:
        if self._asked is Engine.auto:
            return way.pays(self.context, clients)
        return way.engine is self._asked

    def _say(self, reasons: Mapping[Engine, str], taken: Engine) -> None:
        for engine, reason in reasons.items():
            line = f"{engine.name} cannot train this: {reason}"
            if line not in self._said:
                self._said.add(line)
                _log.info("trainer.engine=auto takes %s: %s", taken.name, line)
