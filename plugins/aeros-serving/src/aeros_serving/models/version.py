"""One version of a model, loaded and warm: what it takes, what it gives, its answers."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from aeros_core.config import build, graph_members
from aeros_core.data import Batch
from aeros_core.errors import ConfigError, PredictionError, RemoteError
from aeros_core.inference import explanation
from aeros_core.inference.service import Service
from aeros_core.plugins.registry import Registry
from aeros_core.roles.inferencer import SupportsMembers
from aeros_core.roles.repository import ModelSource, Repository
from aeros_serving.models.independence import ROWS, dependence
from aeros_serving.models.statistics import Drift, Statistics
from aeros_serving.models.warm_up import WarmUp
from aeros_serving.protocol.input_schema import InputSchema, Tensor, input_schema_of, tensor_of

__all__ = ["Explain", "LoadedVersion", "Loader"]

LOOKS = 0.05
"""Seconds between two looks at the inputs, for drift."""

TIMES = 3
"""How often rows are predicted to see how long that takes."""

LONG = 0.01
"""Seconds of a prediction after which it is not repeated: a thread is worth it in any case."""

AGAIN = 60.0
"""Seconds until rows are compared once more where a server that is asked did not answer."""

_UNCOMPARED = "rows could not be compared, as a server that it asks did not answer"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Explain:
    """How an answer is to be explained; see `aeros_core.inference.explanation.explain`."""

    method: str
    target: int | str | None
    steps: int
    baseline: float | None


@dataclass(slots=True, eq=False)
class LoadedVersion:
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
        dependent: How predictions depend on the rows beside, see `independence`; empty: not.
    """

    name: str
    version: int
    service: Service
    contract: InputSchema
    outputs: tuple[Tensor, ...] = ()
    seconds: float = 0.0
    statistics: Statistics = field(default_factory=Statistics)
    looked: float = 0.0
    alone: bool = False
    dependent: str = ""
    _shapes: list[tuple[int, ...]] = field(default_factory=list, init=False, repr=False)
    _compared: float = field(default=-math.inf, init=False, repr=False)
    _looking: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

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
        if rows := _rows(whole):
            self._look_again(output, rows, started)
        answers = [output] if self.alone else _cut(output, [_rows(batch) for batch in batches])
        cut = time.perf_counter()
        return answers, (gathered - started, computed - gathered, cut - computed)

    def explain(self, batch: Batch, how: Explain) -> Batch:
        """Return the answer to a batch, with what each of its values contributed.

        Raises:
            AerosError: It cannot be explained so.
        """
        return explanation.explain(
            self.service, batch, method=how.method, target=how.target, steps=how.steps,
            baseline=how.baseline,
        )  # fmt: skip

    def _look(self, batch: Batch, now: float) -> None:
        """Look at the inputs, for drift; what goes wrong there harms no request."""
        with self._looking:  # several batches may be under way
            if now - self.looked > LOOKS:
                self.looked = now
                try:
                    for drift in self.statistics.drift:
                        drift.add(batch)
                except Exception:
                    _log.exception("drift of model '%s' is not looked at any more", self.name)
                    self.statistics.drift = ()

    def warm(self) -> None:
        """Predict drawn rows, to learn the outputs, their duration, and whether rows are mixed.

        If a remote member is unavailable, this is left to the first prediction that succeeds:
        the member may be available later, and some requests may not need it.

        Raises:
            AerosError: The model cannot answer.
        """
        first = WarmUp(self.service, self.contract, self.name, self.version)
        try:
            sample, output = first.first()
            self._learn(output, _rows(sample))
            self.seconds = _quickest(first, sample)
            self._compare(first.free)
            if (longer := first.longer()) is not None:
                self._see(longer)
        except RemoteError as error:
            told = "it is taken up, and asks again with the first request"
            _log.warning(
                "model '%s' version %d: %s; %s", self.name, self.version, error.asked, told
            )
            self.alone = self.alone or not self.outputs

    def _learn(self, output: Batch, rows: int) -> None:
        self.alone = any(len(column) != rows for column in output.values())
        self._see(output)

    def _see(self, output: Batch) -> None:
        """Take up what the outputs are; a length that was another before may be any."""
        before = {tensor.name: tensor for tensor in self.outputs}
        self._shapes = [column.shape[1:] for column in output.values()]
        seen = [tensor_of(name, column) for name, column in output.items()]
        self.outputs = tuple(_either(before.get(tensor.name, tensor), tensor) for tensor in seen)

    def _compare(self, free: int = 1) -> None:
        """Find out whether rows of several requests may be predicted together."""
        if self.alone:
            return
        rows = self.contract.different(ROWS, free)
        self.dependent, self._compared = _UNCOMPARED, time.perf_counter()
        self.dependent = dependence(self.service.predict, rows)
        if self.dependent:
            told = (
                "model '%s' version %d: %s; only +serving.models.%s.batching=always has its"
                " requests batched"
            )
            _log.warning(told, self.name, self.version, self.dependent, self.name)

    def _look_again(self, output: Batch, rows: int, now: float) -> None:
        """Learn from an answer what could not be seen while the version was warmed."""
        with self._looking:
            if not self.outputs:
                self._learn(output, rows)
                self.dependent = "" if self.alone else _UNCOMPARED
            elif [column.shape[1:] for column in output.values()] != self._shapes:
                self._see(output)
            due = self.dependent == _UNCOMPARED and now - self._compared > AGAIN
            self._compared = now if due else self._compared
        if due:
            with suppress(RemoteError):
                self._compare()


def _either(one: Tensor, other: Tensor) -> Tensor:
    """Return an output whose lengths are those of two answers where they agree, else any."""
    if len(one.shape) != len(other.shape):
        return other
    lengths = zip(one.shape, other.shape, strict=True)
    return replace(other, shape=tuple(a if a == b else -1 for a, b in lengths))


def _quickest(first: WarmUp, sample: Batch) -> float:
    """Return the least of some times that rows take: other processes may be loading just now."""
    seconds = math.inf
    for _ in range(TIMES):
        started = time.perf_counter()
        first.again(sample)
        seconds = min(seconds, time.perf_counter() - started)
        if seconds > LONG:
            break
    return seconds


def _rows(batch: Batch) -> int:
    return len(next(iter(batch.values())))


def _gathered(batches: Sequence[Batch]) -> Batch:
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _cut(output: Batch, rows: Sequence[int]) -> list[Batch]:
    total = sum(rows)
    if any(len(column) != total for column in output.values()):
        told = ", ".join(f"'{name}' {len(column)}" for name, column in output.items())
        raise PredictionError(f"the model gave rows {told} for {total}")
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
        source: Returns what delivers the models that a version, by name and number, is made of;
            None: the repository.
    """

    registry: Registry
    repository: Repository
    inferencer: Mapping[str, Any] | None
    listeners: Sequence[object] = ()
    source: Callable[[str, int], ModelSource] | None = None

    def load(self, name: str, version: int) -> LoadedVersion:
        """Return a version, verified, loaded and warm.

        Raises:
            RepositoryError: It is not there, or damaged.
            ConfigError: A part of it is not installed here, or it cannot answer.
        """
        source = self.repository if self.source is None else self.source(name, version)
        model = source.model(name, version)
        node = self.inferencer or graph_members.default_inferencer(self.registry, model)
        try:
            service = build.build_service(
                self.registry, model, node, self.listeners, repository=source
            )
        except SystemExit as error:
            raise ConfigError(
                f"model '{name}' version {version} cannot be loaded: its inferencer ended itself"
                f" with SystemExit({error.code!r})",
                hint="choose another: inferencer=NAME; aeros plugins lists them",
            ) from error
        contract = input_schema_of(model, service.steps)
        served = LoadedVersion(name, version, service, contract)
        served.warm()
        numeric = [f for f in contract.fields.values() if _numeric(f.dtype) and not f.categories]
        served.statistics.drift = tuple(map(Drift, numeric))
        return served


def _numeric(dtype: str) -> bool:
    return dtype == "*" or (dtype != "str" and np.dtype(dtype).kind in "iuf")
