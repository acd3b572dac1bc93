"""The local controller: every node of a task in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from aeros_core import elements, pipeline, streams
from aeros_core.data import Dataset
from aeros_core.errors import AerosError, ConfigError
from aeros_core.messages import Action, Evaluation, Failure, Instruction, Reply
from aeros_core.outcomes import Result, Status
from aeros_core.pipeline import Prepared
from aeros_core.roles import Components, SupportsCohort, Trainer
from aeros_core.rounds import Rounds
from aeros_core.task import Task

__all__ = ["LocalController", "LocalNodes"]

_ITS_OWN = (AerosError, ArithmeticError, RuntimeError, ValueError)
"""What goes wrong on one node and not on every other."""


class LocalController:
    """Simulates the nodes of a task, one client of the partition each (``controller=local``)."""

    def run(self, task: Task, parts: Components) -> Result:
        """Prepare the data, cut them into clients, and run the rounds.

        Raises:
            ConfigError: The parts do not fit; nothing was started.
            DataError: The data cannot be used.
            TaskError: The task could not go on.
        """
        parts.events.aeros_on_status(task=task, status=Status.SUBMITTED)
        description = elements.Description(**(parts.config.get("infrastructure") or {}))
        elements.check(task, elements.this_machine(description), parts.versions)
        data = pipeline.prepare(parts.transformers, task.seed)
        pipeline.check_schema(parts.trainer, data.schema)
        parts.events.aeros_on_status(task=task, status=Status.PLANNED)
        return Rounds(task, parts, LocalNodes(task, parts.trainer, data), data).run()


class LocalNodes:
    """The clients of a partition, worked through in the order they were instructed.

    Nothing is kept per client, so the cost of a round is that of its cohort.

    Args:
        task: For its seed and its hold-out.
        trainer: Trains every client.
        data: The table and its partition.

    Raises:
        ConfigError: A client has no example to train on.
    """

    def __init__(self, task: Task, trainer: Trainer, data: Prepared) -> None:
        self._task = task
        self._trainer = trainer
        self._data = data
        self._partition = data.partition
        names = data.partition.names
        self._numbers = None if names is None else {name: i for i, name in enumerate(names)}
        self._queue: deque[Instruction] = deque()
        self._begun: deque[Instruction] = deque()
        self._cohort: Iterator[Reply] = iter(())
        least = 2 if task.evaluation.federated else 1
        if (data.partition.sizes < least).any():
            client = int(data.partition.sizes.argmin())
            raise ConfigError(
                f"client '{self.name(client)}' is left with {data.partition.sizes[client]}"
                f" examples, it needs {least}",
                hint="cut the data into fewer clients, or set the partitioner's min_examples",
            )

    def __len__(self) -> int:
        """Number of clients."""
        return len(self._partition)

    def name(self, number: int) -> str:
        """Return the id of client ``number``."""
        return self._partition.name(number)

    def dispatch(self, instructions: Sequence[Instruction]) -> None:
        """Queue instructions; they are carried out as replies are asked for."""
        self._queue.extend(instructions)

    def receive(self, timeout: float | None) -> Reply | None:
        """Carry out the next instruction, unless the time is over already."""
        if timeout is not None and timeout <= 0:
            return None
        if not self._begun and isinstance(self._trainer, SupportsCohort):
            while self._queue and self._queue[0].action is Action.TRAIN:
                self._begun.append(self._queue.popleft())
            self._begin()
        if self._begun:
            return self._next()
        return self._carry_out(self._queue.popleft()) if self._queue else None

    def abandon(self) -> None:
        """Forget what was not begun."""
        self._queue.clear()
        self._begun.clear()
        self._cohort = iter(())

    def _begin(self) -> None:
        """Have the trainer begin with what it can train together."""
        if self._begun and isinstance(self._trainer, SupportsCohort):
            data = [self._rows(instruction) for instruction in self._begun]
            self._cohort = self._trainer.train_cohort(list(self._begun), data)

    def _next(self) -> Reply | None:
        """Return the next reply of a cohort; one member's failure is not the others'."""
        try:
            reply = next(self._cohort, None)
        except ConfigError:
            raise
        except _ITS_OWN as error:
            reply = _failure(self._begun.popleft(), error)
            self._begin()  # an iterator that raised has ended: the others begin anew
            return reply
        self._begun.popleft()
        return reply

    def _carry_out(self, instruction: Instruction) -> Reply:
        try:
            data = self._rows(instruction)
            if instruction.action is Action.TRAIN:
                return self._trainer.train(instruction, data)
            metrics = self._trainer.evaluate(instruction.parameters, data)
        except ConfigError:
            raise  # the same on every node: not this one's failure
        except _ITS_OWN as error:
            return _failure(instruction, error)
        return Evaluation(instruction.node, instruction.round, len(data), metrics)

    def _rows(self, instruction: Instruction) -> Dataset:
        """Return the node's data; with federated evaluation the part that is meant."""
        rows = self._partition[self._number(instruction.node)]
        if self._task.evaluation.federated:
            rng = streams.stream(self._task.seed, "holdout", instruction.node)
            mixed = rng.permutation(rows)
            kept = int(np.clip(round(len(rows) * self._task.evaluation.holdout), 1, len(rows) - 1))
            evaluating = instruction.action is Action.EVALUATE
            rows = np.sort(mixed[:kept] if evaluating else mixed[kept:])
        return self._data.train.take(rows)

    def _number(self, node: str) -> int:
        if self._numbers is not None:
            return self._numbers[node]
        return int(node.rpartition("-")[2])


def _failure(instruction: Instruction, error: Exception) -> Failure:
    return Failure(instruction.node, instruction.round, f"{type(error).__name__}: {error}")
