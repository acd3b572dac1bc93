"""Which engine trains a network.

An engine is added in three lines: a function that makes it for a `Workshop` or says why
it cannot, one that tells whether it pays, and a `Way` in `WAYS`. Engines import what is
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
from aeros_torch.runtime import cores
from aeros_torch.sequential import Sequential
from aeros_torch.stack import stack
from aeros_torch.workshop import Workshop

__all__ = ["WAYS", "Engines", "TrainingEngine", "Way"]

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
class Way:
    """An engine that can be chosen.

    Args:
        engine: What users type; several ways may have the same name.
        make: Makes the engine, or says why it cannot train here.
        pays: Tells whether auto should take it for so many clients.
    """

    engine: Engine
    make: Callable[[Workshop], TrainingEngine | str]
    pays: Callable[[Workshop, int], bool]


def _dense(shop: Workshop) -> TrainingEngine | str:
    found = stack(shop)
    if isinstance(found, str):
        return found
    from aeros_torch.compiled import Compiled  # not before: it takes numba along

    return Compiled(shop, found)


def _stacked(shop: Workshop) -> TrainingEngine | str:
    from aeros_torch.cohort import Cohort
    from aeros_torch.rules import rule
    from aeros_torch.stacking import stackable

    how = rule(shop.recipe.optimizer)
    if isinstance(how, str):
        return how
    if reason := stackable(shop):
        return reason
    return Cohort(shop, how)


def _alike(shop: Workshop, clients: int) -> bool:
    """Tell whether stacking pays: on a GPU always, on the CPU where operators are short."""
    network = shop.network
    if network.device.type != "cpu":
        return clients > 1
    convolves = any(isinstance(part, _ConvNd) for part in network.module.modules())
    return clients >= _SEVERAL and len(network.weights) <= _SHORT and not convolves


def _processes(shop: Workshop) -> TrainingEngine | str:
    from aeros_torch.workers import workers

    return workers(shop)


def _several(shop: Workshop, clients: int) -> bool:
    """Tell whether processes pay: they take as long to start as has been spent already."""
    alone = clients < 2 or shop.workers == 1 or shop.network.device.type != "cpu"
    return not alone and shop.pace.seconds > _START and shop.pace.each > _SMALL and cores() > 1


def _always(_shop: Workshop, _clients: int) -> bool:
    return True


WAYS: Sequence[Way] = (
    Way(Engine.compiled, _dense, _always),
    Way(Engine.cohort, _stacked, _alike),
    Way(Engine.workers, _processes, _several),
    Way(Engine.sequential, Sequential, _always),
)
"""Every engine; auto takes the first that can and pays."""


class Engines:
    """The engines of a workshop, each made when it is first taken.

    Args:
        asked: The option ``trainer.engine``.
        shop: Where they train.
        said: Reasons that were logged before; new ones are added.
    """

    def __init__(self, asked: Engine, shop: Workshop, said: set[str]):
        self.shop = shop
        self._asked, self._said = asked, said
        self._made: dict[int, TrainingEngine | str] = {}

    def pick(self, clients: int) -> TrainingEngine:
        """Return the engine for so many clients; log why a faster one cannot, once.

        Raises:
            ConfigError: An engine was asked for by name and cannot train this.
        """
        reasons: dict[Engine, str] = {}
        for number, way in enumerate(WAYS):
            if not self._considers(way, clients):
                continue
            if number not in self._made:
                self._made[number] = way.make(self.shop)
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

    def _considers(self, way: Way, clients: int) -> bool:
        if self._asked is Engine.auto:
            return way.pays(self.shop, clients)
        return way.engine is self._asked

    def _say(self, reasons: Mapping[Engine, str], taken: Engine) -> None:
        for engine, reason in reasons.items():
            line = f"{engine.name} cannot train this: {reason}"
            if line not in self._said:
                self._said.add(line)
                _log.info("trainer.engine=auto takes %s: %s", taken.name, line)
