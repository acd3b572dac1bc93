"""One version of a model, loaded and warm: what it takes, what it gives, its answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aeros_core import compose, members
from aeros_core.answers import named
from aeros_core.data import Batch
from aeros_core.errors import AerosError, AnswerError, ConfigError, RemoteError, RepositoryError
from aeros_core.powers import SupportsMembers
from aeros_core.registry import Registry
from aeros_core.roles import Repository
from aeros_core.serving import Service
from aeros_serving.contract import Contract, Tensor, contract_of, tensor_of
from aeros_serving.statistics import Drift, Statistics

__all__ = ["Explain", "Loader", "Served"]

LOOKS = 0.05
"""Seconds between two looks at the inputs, for drift."""

_FREE = (1, 16, 64)
"""Lengths that a dimension without one is tried with."""

_STRETCHES = (64, 1024)
"""Numbers of rows that are tried with a model that one row is not enough for."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Explain:
    """How an answer is to be explained; see `aeros_core.explanation.explain`."""

    method: str
    target: int | str | None
    steps: int
    baseline: float | None


@dataclass(slots=True, eq=False)
class Served:
    """A version that answers requests.

    Args:
        name: Name of the model.
        version: Its version.
        service: The model's steps and its inferencer.
        contract: What a request has to bring.
        outputs: What it gives, as seen in its first answer; empty before that.
        seconds: What one row took when it was warm.
        statistics: What it has done.
        alone: Whether rows of two requests must not meet: it looks at several at a time, as
            with the step ``window``, and answers with as many as it makes of them.
    """

    name: str
    version: int
    service: Service
    contract: Contract
    outputs: tuple[Tensor, ...] = ()
    seconds: float = 0.0
    statistics: Statistics = field(default_factory=Statistics)
    looked: float = 0.0
    alone: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes; empty where there are none."""
        schema = self.service.model.schema
        return (schema[schema.target].categories or ()) if schema.target else ()

    @property
    def asks(self) -> bool:
        """Whether it asks others: how long that takes depends on what is asked, and where."""
        return isinstance(self.service.inferencer, SupportsMembers)

    @property
    def platform(self) -> str:
        """What computes, as the protocol's metadata say it."""
        return type(self.service.inferencer).__module__.partition(".")[0]

    def answer(self, batches: Sequence[Batch]) -> tuple[list[Batch], tuple[float, float, float]]:
        """Return the answer to each batch, computed as one, and the seconds that took.

        The seconds are those of gathering, of computing, and of cutting apart.
        """
        started = time.perf_counter()
        whole = batches[0] if len(batches) == 1 else _gathered(batches)
        self._look(whole, started)
        gathered = time.perf_counter()
        output = self.service.predict(whole)
        computed = time.perf_counter()
        if not self.outputs and _rows(whole):
            self._learn(output, _rows(whole))
        answers = [output] if self.alone else _cut(output, [_rows(batch) for batch in batches])
        cut = time.perf_counter()
        return answers, (gathered - started, computed - gathered, cut - computed)

    def explain(self, batch: Batch, how: Explain) -> Batch:
        """Return the answer to a batch, with what each of its values contributed.

        Raises:
            AerosError: It cannot be explained so.
        """
        return self.service.explain(
            batch, method=how.method, target=how.target, steps=how.steps, baseline=how.baseline
        )

    def _look(self, batch: Batch, now: float) -> None:
        if now - self.looked > LOOKS:
            self.looked = now
            for drift in self.statistics.drift:
                drift.add(batch)

    def warm(self) -> None:
        """Answer rows of no meaning, to see what comes and how long it takes.

        If a server that it asks does not answer now, that is seen in the first answer instead:
        it may answer later, and there may be rows that nobody has to be asked about.

        Raises:
            AerosError: The model cannot answer.
        """
        try:
            sample, output = self._tried()
            self._learn(output, _rows(sample))
            started = time.perf_counter()
            self._again(sample)
            self.seconds = time.perf_counter() - started
        except RemoteError as error:
            told = "it is taken up, and asks again with the first request"
            _log.warning(
                "model '%s' version %d: %s; %s", self.name, self.version, error.asked, told
            )
            self.alone = self.alone or not self.outputs

    def _learn(self, output: Batch, rows: int) -> None:
        self.alone = any(len(column) != rows for column in output.values())
        self.outputs = tuple(tensor_of(name, column) for name, column in output.items())

    def _tried(self) -> tuple[Batch, Batch]:
        """Return rows that can be answered, and the answer: one row, if the model takes that."""
        tries = [(1, free) for free in (_FREE if self.contract.free else (1,))]
        why: BaseException | None = None
        for rows, free in [*tries, *((rows, 1) for rows in _STRETCHES)]:
            sample = self.contract.sample(rows, free)
            try:
                return sample, self.service.predict(sample)
            except (RemoteError, KeyboardInterrupt):
                raise
            except BaseException as error:
                why = error if why is None or rows == 1 else why
        raise self._dumb(why) from why

    def _again(self, sample: Batch) -> None:
        try:
            self.service.predict(sample)
        except (RemoteError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise self._dumb(error) from error

    def _dumb(self, why: BaseException | None) -> ConfigError:
        """Return the error of a model that does not answer, and what to do about it."""
        told = f"model '{self.name}' version {self.version} cannot answer a row:"
        if isinstance(why, AerosError):
            verify = f"aeros models verify {self.name}:{self.version}"
            hint = why.hint or (verify if isinstance(why, RepositoryError) else "")
            asked = f"{told} {' '.join(why.asked.split())}"
            return ConfigError(asked, exists=why.exists, provider=why.provider, hint=hint)
        said = " ".join(f"{type(why).__name__}: {why}".split()).rstrip(": ")
        return ConfigError(
            f"{told} {said}",
            provider=f"inferencer {named(self.service.inferencer)}",
            hint="mend it there, or choose another: inferencer=NAME; aeros plugins lists them",
        )


def _rows(batch: Batch) -> int:
    return len(next(iter(batch.values())))


def _gathered(batches: Sequence[Batch]) -> Batch:
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _cut(output: Batch, rows: Sequence[int]) -> list[Batch]:
    total = sum(rows)
    if any(len(column) != total for column in output.values()):
        told = ", ".join(f"'{name}' {len(column)}" for name, column in output.items())
        raise AnswerError(f"the model gave rows {told} for {total}")
    if len(rows) == 1:
        return [output]
    ends = np.cumsum(rows).tolist()
    return [
        {name: column[end - count : end] for name, column in output.items()}
        for count, end in zip(rows, ends, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Loader:
    """Takes versions of models up from a repository.

    Args:
        registry: What is installed.
        repository: Where the models are.
        inferencer: The configuration of the inferencer; None: what goes with each model.
        listeners: Objects that hear of every answer.
    """

    registry: Registry
    repository: Repository
    inferencer: Mapping[str, Any] | None
    listeners: Sequence[object] = ()

    def load(self, name: str, version: int) -> Served:
        """Return a version, verified, loaded and warm.

        Raises:
            RepositoryError: It is not there, or damaged.
            ConfigError: A part of it is not installed here, or it cannot answer.
        """
        model = self.repository.model(name, version)
        node = self.inferencer or members.usual(self.registry, model)
        try:
            service = compose.build_service(
                self.registry, model, node, self.listeners, repository=self.repository
            )
        except SystemExit as error:
            raise ConfigError(
                f"model '{name}' version {version} cannot be loaded: its inferencer ended itself"
                f" with SystemExit({error.code!r})",
                hint="choose another: inferencer=NAME; aeros plugins lists them",
            ) from error
        contract = contract_of(model, service.steps)
        served = Served(name, version, service, contract)
        served.warm()
        numeric = [f for f in contract.fields.values() if _numeric(f.dtype) and not f.categories]
        served.statistics.drift = tuple(map(Drift, numeric))
        return served


def _numeric(dtype: str) -> bool:
    return dtype == "*" or (dtype != "str" and np.dtype(dtype).kind in "iuf")
