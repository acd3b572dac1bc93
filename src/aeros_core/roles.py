"""The six roles. A plugin implements them; the configuration chooses among them.

Roles never import or call one another: `aeros_core.rounds` and the controllers bring
them together. What only some implementations can do is in `aeros_core.powers`, and what
only some repositories can in `aeros_core.storage_powers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from aeros_core.control import Control
from aeros_core.data import Batch, Dataset, Partition
from aeros_core.encoding import Decoder, Encoded
from aeros_core.events import Events
from aeros_core.messages import Instruction, Metrics, Update
from aeros_core.outcomes import Result, Round
from aeros_core.parameters import Parameters
from aeros_core.records import Checkpoint, Model, ModelInfo, Run
from aeros_core.schema import Schema
from aeros_core.task import Task

__all__ = [
    "Codec",
    "Collector",
    "Components",
    "Controller",
    "Inferencer",
    "Module",
    "Partitioner",
    "Predictor",
    "Repository",
    "Source",
    "Split",
    "Trainer",
    "Transformer",
]

Split: TypeAlias = Literal["train", "test"]

Module: TypeAlias = Callable[..., Any]
"""A registered model, its options bound: called with ``inputs`` and ``outputs``."""


# ---------------------------------------------------------------- the task side


@runtime_checkable
class Controller(Protocol):
    """Runs one task to its end: prepares nodes, drives rounds, reports the life cycle."""

    def run(self, task: Task, parts: Components) -> Result:
        """Run ``task`` with these components; called once.

        Raises:
            ConfigError: Task and components do not fit; nothing was started.
            TaskError: The task could not go on; what was committed stays.
        """


@runtime_checkable
class Collector(Protocol):
    """Combines updates, as they arrive, into the next global parameters."""

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the next global parameters.

        Args:
            parameters: The global parameters the round started from; never changed.
            updates: Accepted updates, all of the layout of ``parameters``, finite and
                with a positive number of examples. Consumed once, in order: the
                iterable waits for nodes, so a linear rule should not keep what it
                has added. Without any update, ``parameters`` come back unchanged. An
                error that the iterable raises passes through, and leaves the collector
                as it was before the round, which may be run again.
        """


@runtime_checkable
class Repository(Protocol):
    """Keeps runs, rounds and models: versioned, verified, atomic.

    Whatever a method has returned from is on stable storage; a process killed within a
    method leaves the old state or the new one, never a mixture. Every method may raise
    RepositoryError.
    """

    def begin(self, run: Run) -> None:
        """Record that a run starts."""

    def runs(self, task: str | None = None) -> Sequence[Run]:
        """Return the runs of a task, or all, oldest first."""

    def commit(self, run: str, checkpoint: Checkpoint) -> None:
        """Store one round of a run."""

    def latest(self, run: str) -> Checkpoint | None:
        """Return the last committed round of a run; None if there is none."""

    def history(self, run: str) -> Sequence[Round]:
        """Return what every committed round of a run did, in order."""

    def finish(self, run: str, result: Result) -> None:
        """Store how a run ended; a later end of the same run replaces it."""

    def result(self, run: str) -> Mapping[str, Any] | None:
        """Return `Result.to_json` of how a run ended; None if it has not."""

    def publish(self, model: Model, version: int | None = None) -> ModelInfo:
        """Store a model as the next version of its name, and tag it ``latest``.

        Of several who publish at once each gets a number of its own; of several who name
        the same, one.

        Args:
            model: What is stored.
            version: The number that it has to get; None for the next one, whatever it is.

        Raises:
            RepositoryError: The next number is not the one that was named: somebody else
                has published meanwhile. Nothing is stored.
        """

    def models(self, name: str | None = None) -> Sequence[ModelInfo]:
        """Return every version of a model, or of all, by name and version."""

    def model(self, name: str, version: int | str = "latest") -> Model:
        """Return a model by its version or a tag, verified against its digest."""


# ---------------------------------------------------------------- the node side


@runtime_checkable
class Trainer(Protocol):
    """Improves parameters on local data, and evaluates them."""

    def expects(self, schema: Schema) -> Schema:
        """Return the schema that the model wants, given what there is.

        Lengths and dtypes the model does not care for are wildcards. The core compares
        and explains the difference; a trainer need not.
        """

    def initialise(self, schema: Schema, seed: int) -> Parameters:
        """Return the parameters a model for this schema starts from."""

    def train(self, instruction: Instruction, data: Dataset) -> Update:
        """Train from the instruction's parameters on a node's data.

        The same instruction and data give the same bits.

        Raises:
            DataError: There is no example.
        """

    def evaluate(self, parameters: Parameters, data: Dataset) -> Metrics:
        """Return metrics over these data: at least ``loss``; ``accuracy`` for classes.

        Raises:
            DataError: There is no example.
        """


@runtime_checkable
class Inferencer(Protocol):
    """Answers batches with a loaded model."""

    def load(self, model: Model, module: Module | None = None) -> None:
        """Take a model up; ``module`` is what its configuration names, if anything."""

    def predict(self, batch: Batch) -> Batch:
        """Return predictions, one row for each row of ``batch``."""


class Predictor(Protocol):
    """What answers with a loaded model: rows as they come, prepared for it as it asks."""

    def predict(self, batch: Batch) -> Batch:
        """Return predictions, one row for each row of ``batch``."""


@runtime_checkable
class Transformer(Protocol):
    """A step that maps data, and says what it does to the schema.

    The options in the group ``transformer`` are of three kinds: a `Source`, which comes
    first; steps like this one; and at most one `Partitioner`.
    """

    def transform(self, batch: Batch) -> Batch:
        """Return the batch after this step; the one passed in is never changed."""

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema after this step; called before any row passes through it.

        A step may remember from it which fields it works on. What it remembers is then
        part of its state (`SupportsState`), so that restoring it is enough to answer
        requests elsewhere. Requests carry no target: a step works without one.

        Raises:
            ConfigError: The step cannot work on such data.
        """


@runtime_checkable
class Source(Protocol):
    """Loads data: the first of the transformers."""

    def load(self, split: Split) -> Dataset | None:
        """Return the data of a split; None where there is no test split.

        Raises:
            ConfigError: A path or a column that was named does not exist.
            DataError: The data are there but damaged.
        """


@runtime_checkable
class Partitioner(Protocol):
    """Cuts one data set into clients, for a simulation on one machine."""

    def partition(self, data: Dataset, rng: np.random.Generator) -> Partition:
        """Return which rows, counted within ``data``, each client holds.

        Raises:
            ConfigError: The data cannot be cut so; a client would be left with none.
        """

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema of the clients' data: without what only told them apart."""


@runtime_checkable
class Codec(Decoder, Protocol):
    """Compresses what nodes send; the same object without a state serves every node."""

    def encode(
        self, change: Parameters, residual: Parameters | None, rng: np.random.Generator
    ) -> tuple[Encoded, Parameters | None]:
        """Return a change in compressed form, and what was lost, to be sent the next time.

        Args:
            change: What a node's training changed; never changed itself.
            residual: What the last call on this node returned; None at first. A codec
                with error feedback adds it to the change.
            rng: The node's stream of the round, for what is drawn.

        Returns:
            What travels; and the residual, None where the codec keeps none.
        """


# ---------------------------------------------------------------- what a task is given


@dataclass(frozen=True, slots=True)
class Components:
    """What the configuration chose for one task, built.

    Args:
        collector: Combines the updates.
        repository: Keeps rounds and models.
        trainer: Trains and evaluates.
        transformers: Source, steps and partitioner by name, in order.
        events: Where to report.
        config: The resolved configuration as plain data; what travels to other processes.
        identity: Digest of everything in it that decides the result.
        versions: Versions of Python, aeros-core and the plugins chosen.
        control: Pause and cancel from outside.
        serve: Makes what answers with a model of the repository; None where the task was
            put together by hand and only trains.
    """

    collector: Collector
    repository: Repository
    trainer: Trainer
    transformers: Mapping[str, Transformer | Source | Partitioner]
    events: Events
    config: Mapping[str, Any]
    identity: str
    versions: Mapping[str, str]
    control: Control
    serve: Callable[[Model], Predictor] | None = None
