"""The local controller: every node of a task in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from aeros_core import seeding
from aeros_core.controllers import execution
from aeros_core.data import Dataset
from aeros_core.errors import AerosError, ConfigError
from aeros_core.federated.updates.client_state import ClientState
from aeros_core.federated.updates.validation import of_examples, within_stated
from aeros_core.inference.worker import InferenceWorker
from aeros_core.messages import Action, Evaluation, Failure, Instruction, Reply, State, Update
from aeros_core.numerics import proportions
from aeros_core.preprocessing.pipeline import Prepared
from aeros_core.results import Result, Status
from aeros_core.roles.codec import Codec
from aeros_core.roles.collector import SupportsCodec
from aeros_core.roles.components import Components
from aeros_core.roles.trainer import SupportsCohort, Trainer
from aeros_core.tasks import infrastructure
from aeros_core.tasks.control import Cancelled
from aeros_core.tasks.task import Task

__all__ = ["LocalController", "LocalNodes"]

_ITS_OWN = (AerosError, ArithmeticError, RuntimeError, ValueError)
"""What goes wrong on one node and not on every other."""

_DRESSED = 16
"""Clients with parameters of their own that train together: each is a whole model."""


class LocalController:
    """Simulates the nodes of a task, one client of the partition each (``controller=local``)."""

    def run(self, task: Task, parts: Components) -> Result:
        """Prepare the data, cut them into clients, and have them train or answer.

        Raises:
            ConfigError: The parts do not fit; nothing was started.
            DataError: The data cannot be used.
            TaskError: The task could not go on.
        """
        parts.events.aeros_on_status(task=task, status=Status.SUBMITTED)
        description = infrastructure.Description(**(parts.config.get("infrastructure") or {}))
        infrastructure.check(task, infrastructure.this_machine(description), parts.versions)
        data, model = execution.prepare(task, parts)
        parts.events.aeros_on_status(task=task, status=Status.PLANNED)
        codec = parts.collector.codec if isinstance(parts.collector, SupportsCodec) else None
        nodes = LocalNodes(task, execution.worker(task, parts, model), data, codec)
        return execution.run(task, parts, nodes, data, model)


class LocalNodes:
    """The clients of a partition, worked through in the order they were instructed.

    Nothing is kept per client, so the cost of a round is that of its cohort.

    Args:
        task: For its seed and its hold-out.
        worker: Trains every client, or answers for it.
        data: The table and its partition.
        codec: Compresses what clients send; None: nothing does.

    Raises:
        ConfigError: A client has no example to train on.
    """

    def __init__(
        self,
        task: Task,
        worker: Trainer | InferenceWorker,
        data: Prepared,
        codec: Codec | None = None,
    ) -> None:
        self._task = task
        self._worker = worker
        self._together = worker if isinstance(worker, SupportsCohort) else None
        self._holds_out = task.evaluation.federated and not task.infers
        self._data = data
        self._partition = data.partition
        self._queue: deque[Instruction] = deque()
        self._begun: deque[Instruction] = deque()
        self._cohort: Iterator[Reply] = iter(())
        self._desk = ClientState(codec)
        self._sizes = data.partition.sizes
        self._stated: dict[str, int] = {}  # examples of the clients that are to reply
        least = 2 if self._holds_out else 1
        if (self._sizes < least).any():
            client = int(self._sizes.argmin())
            raise ConfigError(
                f"client '{self.name(client)}' is left with {self._sizes[client]}"
                f" examples, it needs {least}",
                hint="cut the data into fewer clients, or set the partitioner's min_examples",
            )

    def __len__(self) -> int:
        """Number of clients."""
        return len(self._partition)

    def name(self, number: int) -> str:
        """Return the id of client ``number``."""
        return self._partition.name(number)

    def sizes(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of examples of these clients."""
        return self._sizes[numbers]

    def dispatch(self, instructions: Sequence[Instruction]) -> None:
        """Queue instructions; they are carried out as replies are asked for."""
        self._queue.extend(instructions)

    def receive(self, timeout: float | None) -> Reply | None:
        """Carry out the next instruction, unless the time is over already.

        A node that claims more examples than it has fails.
        """
        if timeout is not None and timeout <= 0:
            return None
        reply = self._receive()
        if reply is None:
            return None
        stated = self._stated.pop(reply.node, 0)
        if type(reply) is Update and of_examples(reply.examples, stated) is None:
            return reply  # its figures are checked where it is collected
        return within_stated(reply, stated)

    def _receive(self) -> Reply | None:
        if self._together is not None and not self._begun:
            self._begin(self._together)
        if self._begun:
            return self._next()
        return self._carry_out(self._queue.popleft()) if self._queue else None

    def abandon(self) -> None:
        """Forget what was not begun."""
        self._queue.clear()
        self._begun.clear()
        self._stated.clear()
        self._cohort = iter(())

    def state(self) -> State:
        """Return what clients keep for themselves."""
        return self._desk.state()

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        self._desk.restore(state)

    def _begin(self, trainer: SupportsCohort) -> None:
        """Have the trainer begin with what it can train together."""
        while self._queue and self._queue[0].action is Action.TRAIN:
            if self._queue[0].personal and len(self._begun) >= _DRESSED:
                break
            self._begun.append(self._queue.popleft())
        if self._begun:
            data = [self._rows(instruction) for instruction in self._begun]
            prepared = [self._desk.prepare(instruction) for instruction in self._begun]
            self._cohort = trainer.train_cohort(prepared, data)

    def _next(self) -> Reply | None:
        """Return the next reply of a cohort; if it breaks, the rest train one by one."""
        try:
            reply = next(self._cohort, None)
        except (ConfigError, Cancelled):
            raise
        except _ITS_OWN:
            self._cohort = iter(())
            reply = None
        instruction = self._begun.popleft()
        if reply is None:
            return self._carry_out(instruction)
        return self._desk.finish(instruction, reply) if isinstance(reply, Update) else reply

    def _carry_out(self, instruction: Instruction) -> Reply:
        try:
            data, worker = self._rows(instruction), self._worker
            if isinstance(worker, InferenceWorker):
                return worker.answer(instruction, data)
            prepared = self._desk.prepare(instruction)
            if instruction.action is Action.TRAIN:
                return self._desk.finish(instruction, worker.train(prepared, data))
            metrics = worker.evaluate(prepared.parameters, data)
        except (ConfigError, Cancelled):
            raise  # the same on every node: not this one's failure
        except _ITS_OWN as error:
            why = f"{type(error).__name__}: {error}"
            return Failure(instruction.node, instruction.round, why)
        return Evaluation(instruction.node, instruction.round, len(data), metrics)

    def _rows(self, instruction: Instruction) -> Dataset:
        """Return the node's data; with federated evaluation the part that is meant."""
        rows = self._partition[self._partition.number(instruction.node)]
        self._stated[instruction.node] = len(rows)
        if self._holds_out:
            rng = seeding.stream(self._task.seed, "holdout", instruction.node)
            mixed = rng.permutation(rows)
            held = proportions.nearest(self._task.evaluation.holdout, len(rows))
            kept = min(max(held, 1), len(rows) - 1)
            evaluating = instruction.action is Action.EVALUATE
            rows = np.sort(mixed[:kept] if evaluating else mixed[kept:])
        return self._data.train.take(rows)
