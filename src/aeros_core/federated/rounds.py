"""The round loop of federated learning."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping, Sequence

from aeros_core import seeding
from aeros_core.errors import ConfigError, TaskError
from aeros_core.federated import completion, run_state, selection, timing
from aeros_core.federated.asynchronous import AsynchronousRound, AsynchronousRounds
from aeros_core.federated.evaluation import evaluate_on_nodes
from aeros_core.federated.publication import publish
from aeros_core.federated.run_state import RunState
from aeros_core.federated.synchronous import GONE, NO_TIME, SILENT, SynchronousRound
from aeros_core.federated.updates import divergence, weight_cap
from aeros_core.messages import Metrics, Update
from aeros_core.models import references
from aeros_core.numerics.dtypes import check_dtypes
from aeros_core.parameters import Parameters
from aeros_core.preprocessing.pipeline import Prepared
from aeros_core.records import Checkpoint
from aeros_core.results import Result, Round, Status
from aeros_core.roles.collector import SupportsAveraging, SupportsBuffer
from aeros_core.roles.components import Components
from aeros_core.roles.nodes import Nodes, SupportsRefusals
from aeros_core.tasks.round_counters import RoundCounters
from aeros_core.tasks.task import QuorumPolicy, Task

__all__ = ["Rounds"]


_SHORT = (SILENT.text, NO_TIME)
"""What is said of nodes, here or by their executors, that the deadline was too short for."""


class _Missed(Exception):
    """A round came to fewer good updates than its quorum."""

    def __init__(self, good: int) -> None:
        super().__init__(good)
        self.good = good


class Rounds:
    """Runs a task's rounds to their end, however that comes, and records it.

    Args:
        task: What to run.
        parts: With what.
        nodes: On whom.
        data: Schema, test split and fitted steps.
    """

    def __init__(self, task: Task, parts: Components, nodes: Nodes, data: Prepared) -> None:
        self._task = task
        self._parts = parts
        self._nodes = nodes
        self._data = data
        self._breathe = functools.partial(completion.check_control, task, parts)
        self._keepers = run_state.stateful_parts(parts, nodes)
        self._busy: AsynchronousRounds | None = None
        self._committing = 0.0
        self._refusing = nodes if isinstance(nodes, SupportsRefusals) else None
        self._owed: dict[str, int] = {}
        self._stated: Mapping[str, int] = {}
        if isinstance(parts.collector, SupportsBuffer):
            buffer = parts.collector.buffer
            self._busy = AsynchronousRounds(nodes, task, parts.collector, buffer, self._breathe)

    def run(self) -> Result:
        """Begin the run, or go on with it, until its last round or its target.

        Raises:
            ConfigError: The task asks for what these nodes cannot give; nothing was begun.
            TaskError: A round missed its quorum, or the task was interrupted; what was
                committed stays.
        """
        self._check()
        self._parents = references.parent_digests(self._task.start, self._parts.repository)
        self._began = time.monotonic()
        task = self._task
        with run_state.opened(task, self._parts, self._keepers, self._initial) as here:
            return self._go_on(here)

    def _go_on(self, here: RunState) -> Result:
        """Run the rounds that are left, and record how that ends."""
        task, events = self._task, self._parts.events
        events.aeros_before_task(task=task, run=here.run, history=tuple(here.history))
        if done := run_state.finished(task, self._parts, here.run):
            events.aeros_after_task(task=task, result=done)
            return done
        events.aeros_on_status(task=task, status=Status.RUNNING)
        try:
            while here.number < task.rounds and not self._reached(here):
                self._round(here)
            if self._busy is not None:
                self._nodes.abandon()
            shown = self._shown(here.parameters)
            model = publish(self._task, self._parts, self._data, here, shown, self._parents)
            return completion.finish_run(
                task, self._parts, here, Status.FINISHED, self._began, model
            )
        except BaseException as error:
            self._nodes.abandon()
            completion.fail_run(task, self._parts, here, self._began, error)
            raise

    def _reached(self, here: RunState) -> bool:
        stop = self._task.stop
        return stop.target is not None and stop.reached(here.measured)

    def _round(self, here: RunState) -> None:
        task, parts, number = self._task, self._parts, here.number + 1
        started, tally, split = time.monotonic(), RoundCounters(), timing.PhaseTimer()

        # 1. Who takes part, and what they are told; 2. what comes back is checked, and
        # combined as it arrives; 3. too few good updates are no round
        parameters, nodes = self._combined(here.parameters, number, tally, split)
        divergence.check_parameters(parameters, number)

        # 4. Measure; 5. commit; 6. tell
        trained = time.monotonic()
        phases = split.of(trained - started)
        central, federated = self._measure(parameters, number, nodes, tally)
        divergence.check_loss(central or federated, number)
        if self._refusing is not None:
            for name, refusal in self._refusing.refusals():
                tally.refuse(name, refusal)
        ended = time.monotonic()
        done = Round(
            number=number,
            metrics=central,
            federated=federated,
            training=selection.mean(tally.weighed),
            nodes=tally.accepted,
            refused=tally.refused,
            seconds=_spent(started, trained, ended) | phases | {"commit": self._committing},
            sent=tally.sent,
            received=tally.received,
            dropped=tally.dropped,
            capped=tally.capped,
        )
        state, elapsed = run_state.state_of(self._keepers), here.before + ended - self._began
        parts.repository.commit(here.run.id, Checkpoint(done, parameters, state, elapsed))
        self._committing = time.monotonic() - ended
        here.parameters = parameters
        here.history.append(done)
        parts.events.aeros_after_round(task=task, round=done, parameters=parameters)

    def _combined(
        self, start: Parameters, number: int, tally: RoundCounters, split: timing.PhaseTimer
    ) -> tuple[Parameters, Sequence[str]]:
        """Return the next global parameters, and who was asked.

        Raises:
            TaskError: Each attempt missed its quorum.
        """
        task, parts = self._task, self._parts
        attempts = task.attempts if task.below_quorum is QuorumPolicy.retry else 1
        for attempt in range(attempts):
            with timing.timed("select"):
                coming = self._open(start, number, attempt, tally)
            parts.events.aeros_before_round(task=task, number=number, cohort=coming.cohort)
            try:
                updates = self._within_share(self._told(coming, split), tally)
                return parts.collector.aggregate(start, updates), coming.cohort
            except _Missed as missed:
                if attempt + 1 == attempts:
                    raise self._below_quorum(number, missed.good, tally) from None
        raise AssertionError("a round has at least one attempt")

    def _open(
        self, start: Parameters, number: int, attempt: int, tally: RoundCounters
    ) -> SynchronousRound | AsynchronousRound:
        """Return the updates of a round, for which nodes begin to work once they are wanted."""
        selection.await_quorum(self._task, self._nodes, self._breathe)
        if self._busy is not None:
            return self._busy.step(number, start, tally)
        task, collector = self._task, self._parts.collector
        self._stated = selection.stated(task, self._nodes, number, attempt)
        names = list(self._stated)
        sent = selection.instruct(task, collector, start, number, names, attempt)
        return SynchronousRound(self._nodes, task, sent, start, self._breathe, tally, self._owed)

    def _within_share(self, updates: Iterator[Update], tally: RoundCounters) -> Iterator[Update]:
        """Return the updates, whose weights are held within ``task.max_share``."""
        share, there = self._task.max_share, len(self._stated) or len(self._nodes)
        if share >= 1 or there < weight_cap.FEWEST:
            return updates
        note = functools.partial(tally.cap, "train")
        return weight_cap.capped(updates, share, note, self._stated.values())

    def _check(self) -> None:
        selection.check(self._task, self._nodes)
        if self._busy is not None and self._task.evaluation.federated:
            raise ConfigError(
                "task.evaluation.federated=true has to wait for nodes that an asynchronous"
                " collector keeps at work",
                hint="task.evaluation.federated=false, or a collector that works in rounds",
            )

    def _initial(self) -> Parameters:
        start, seed = self._task.start, seeding.seed(self._task.seed, "model")
        fresh = self._parts.trainer.initialise(self._data.schema, seed)
        check_dtypes(fresh.layout)
        return (
            fresh
            if start is None
            else references.load_initial(start, self._parts.repository, fresh)
        )

    def _told(
        self, coming: SynchronousRound | AsynchronousRound, split: timing.PhaseTimer
    ) -> Iterator[Update]:
        """Yield updates and tell of each; a missed quorum ends the rule before its step."""
        task, heard, good = self._task, self._parts.events.aeros_after_update, 0
        for update in coming:
            heard(task=task, update=update)
            split.hear(update)
            good += 1
            yield update
            del update  # a collector that let go of it need not share it
        if good < task.quorum:
            raise _Missed(good)

    def _below_quorum(self, number: int, good: int, tally: RoundCounters) -> TaskError:
        return TaskError(
            f"round {number} has {good} good updates, its quorum is {self._task.quorum}",
            exists=tally.reasons,
            hint=divergence.HINT
            if divergence.is_common(tally.refused.values())
            else f"{self._fix(tally)}, then the same command with task.resume=true",
        )

    def _fix(self, tally: RoundCounters) -> str:
        """Return what helps against what is missing."""
        kinds = {kind for why in tally.dropped.values() for kind in why}
        if kinds == {GONE}:
            return "start the executors that are gone again"
        silent = sum(why in _SHORT for why in tally.refused.values())
        longer = f"task.deadline=SECONDS, more than {self._task.deadline or 0:g}"
        mend = "mend what the nodes report"
        if silent < len(tally.refused):
            return f"{mend}; {longer}" if silent else mend
        return longer if silent else mend

    def _measure(
        self, parameters: Parameters, number: int, nodes: Sequence[str], tally: RoundCounters
    ) -> tuple[Metrics, Metrics]:
        """Return the central and the federated metrics; empty where they are not due."""
        task, asked = self._task, self._task.evaluation
        if number % asked.every and number != task.rounds:
            return {}, {}
        shown = self._shown(parameters)
        test = self._data.test if asked.central else None
        central = self._parts.trainer.evaluate(shown, test) if test is not None else {}
        if not asked.federated:
            return central, {}
        personal = selection.broadcast(self._parts.collector, number).personal
        sent = selection.ask(task, shown, number, nodes, personal)
        return central, evaluate_on_nodes(self._nodes, task, sent, self._breathe, tally)

    def _shown(self, parameters: Parameters) -> Parameters:
        """Return the parameters that are measured and published."""
        collector = self._parts.collector
        if isinstance(collector, SupportsAveraging):
            return collector.averaged(parameters)
        return parameters


def _spent(started: float, trained: float, ended: float) -> dict[str, float]:
    return {"train": trained - started, "evaluate": ended - trained, "total": ended - started}
