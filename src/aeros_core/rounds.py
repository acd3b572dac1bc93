"""The round loop of federated learning."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from aeros_core import cohort, sitting, streams
from aeros_core.control import Cancelled
from aeros_core.errors import AerosError, ConfigError, Interrupted, TaskError
from aeros_core.intake import Intake, Nodes
from aeros_core.messages import Evaluation, Metrics, Update
from aeros_core.outcomes import Result, Round, Status
from aeros_core.parameters import Parameters
from aeros_core.pipeline import Prepared
from aeros_core.records import Checkpoint, Model
from aeros_core.roles import Components, Transformer
from aeros_core.sitting import Sitting
from aeros_core.task import Task

__all__ = ["Rounds"]


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

    def run(self) -> Result:
        """Begin the run, or go on with it, until its last round or its target.

        Raises:
            ConfigError: The task asks for what these nodes cannot give; nothing was begun.
            TaskError: A round missed its quorum, or the task was interrupted; what was
                committed stays.
        """
        self._check()
        self._began = time.monotonic()
        task, events = self._task, self._parts.events
        here = sitting.open_run(task, self._parts, self._initial)
        events.aeros_before_task(task=task, run=here.run, history=tuple(here.history))
        if done := sitting.finished(task, self._parts, here.run):
            events.aeros_after_task(task=task, result=done)
            return done
        events.aeros_on_status(task=task, status=Status.RUNNING)
        try:
            while here.number < task.rounds and not task.stop.reached(here.measured):
                self._round(here)
            return self._end(here, Status.FINISHED)
        except BaseException as error:
            self._fail(here, error)
            raise

    def _round(self, here: Sitting) -> None:
        task, parts, number = self._task, self._parts, here.number + 1
        started = time.monotonic()

        # 1. Who takes part
        nodes = cohort.select(task, self._nodes, number)
        parts.events.aeros_before_round(task=task, number=number, cohort=nodes)

        # 2. Send the instructions; replies come in any order
        sent = cohort.instruct(task, parts.collector, here.parameters, number, nodes)
        self._nodes.dispatch(sent)

        # 3. Take updates in and refuse bad ones; 4. combine the others as they arrive
        intake = Intake(self._nodes, task, number, nodes, here.parameters.layout, parts.control)
        parameters = parts.collector.aggregate(here.parameters, self._told(intake))
        self._demand_quorum(number, intake)

        # 5. Measure, commit, tell
        trained = time.monotonic()
        central, federated = self._measure(parameters, number, nodes)
        ended = time.monotonic()
        done = Round(
            number=number,
            metrics=central,
            federated=federated,
            training=cohort.mean(intake.accepted.values()),
            nodes=intake.accepted,
            refused=intake.refused,
            seconds=_spent(started, trained, ended),
            sent=sum(instruction.nbytes for instruction in sent),
            received=intake.received,
        )
        state, elapsed = sitting.state_of(parts), here.before + ended - self._began
        parts.repository.commit(here.run.id, Checkpoint(done, parameters, state, elapsed))
        here.parameters = parameters
        here.history.append(done)
        parts.events.aeros_after_round(task=task, round=done, parameters=parameters)

    def _check(self) -> None:
        there = len(self._nodes)
        for option in ("cohort", "quorum"):
            asked = getattr(self._task, option)
            if asked is not None and asked > there:
                raise ConfigError(
                    f"task.{option}={asked} asks for more nodes than there are",
                    exists=f"{there} nodes",
                    hint=f"task.{option}={there}, or cut the data into more clients",
                )

    def _initial(self) -> Parameters:
        seed = streams.seed(self._task.seed, "model")
        return self._parts.trainer.initialise(self._data.schema, seed)

    def _told(self, intake: Intake) -> Iterator[Update]:
        for update in intake:
            self._parts.events.aeros_after_update(task=self._task, update=update)
            yield update

    def _demand_quorum(self, number: int, intake: Intake) -> None:
        if len(intake.accepted) >= self._task.quorum:
            return
        reasons = [f"{node}: {reason}" for node, reason in intake.refused.items()]
        raise TaskError(
            f"round {number} has {len(intake.accepted)} good updates,"
            f" its quorum is {self._task.quorum}",
            exists="; ".join(reasons[:3]) + (f"; and {len(reasons) - 3} more" * (len(reasons) > 3)),
            hint="mend what the nodes report, then the same command with task.resume=true",
        )

    def _measure(
        self, parameters: Parameters, number: int, nodes: Sequence[str]
    ) -> tuple[Metrics, Metrics]:
        """Return the central and the federated metrics; empty where they are not due."""
        asked = self._task.evaluation
        if number % asked.every and number != self._task.rounds:
            return {}, {}
        test = self._data.test if asked.central else None
        central = self._parts.trainer.evaluate(parameters, test) if test is not None else {}
        return central, self._on_nodes(parameters, number, nodes) if asked.federated else {}

    def _on_nodes(self, parameters: Parameters, number: int, nodes: Sequence[str]) -> Metrics:
        self._nodes.dispatch(cohort.ask(self._task, parameters, number, nodes))
        figures = []
        for _ in nodes:
            reply = self._nodes.receive(self._task.deadline)
            if isinstance(reply, Evaluation) and reply.round == number:
                figures.append({"examples": reply.examples, **reply.metrics})
        return cohort.mean(figures)

    def _fail(self, here: Sitting, error: BaseException) -> None:
        self._nodes.abandon()
        self._parts.events.aeros_on_error(task=self._task, error=error)
        self._end(here, _status(error))
        if isinstance(error, KeyboardInterrupt):
            kept = f"rounds 1 to {here.number} are" if here.number else "no round is"
            raise Interrupted(
                f"interrupted; {kept} committed in run {here.run.id}",
                hint="the same command with task.resume=true goes on",
            ) from None

    def _end(self, here: Sitting, status: Status) -> Result:
        result = Result(
            task=self._task.name,
            status=status,
            rounds=here.number,
            metrics=here.measured,
            model=self._publish(here) if status is Status.FINISHED else {},
            seconds=here.before + time.monotonic() - self._began,
            sent=sum(r.sent for r in here.history),
            received=sum(r.received for r in here.history),
            versions=self._parts.versions,
        )
        try:
            self._parts.repository.finish(here.run.id, result)
        except AerosError:  # the repository may be what failed: the others hear of the end
            if status is Status.FINISHED:
                raise
        self._parts.events.aeros_on_status(task=self._task, status=status)
        self._parts.events.aeros_after_task(task=self._task, result=result)
        return result

    def _publish(self, here: Sitting) -> dict[str, str | int]:
        repository = self._parts.repository
        stored = [m for m in repository.models(self._task.name) if m.run == here.run.id]
        if not stored or stored[-1].round != here.number:
            stored = [repository.publish(self._model(here))]
        last = stored[-1]
        return {"name": last.name, "version": last.version, "digest": last.digest}

    def _model(self, here: Sitting) -> Model:
        parts = self._parts
        steps = parts.config.get("transformer") or {}
        return Model(
            name=self._task.name,
            parameters=here.parameters,
            schema=self._data.schema,
            module=(parts.config.get("trainer") or {}).get("model") or {},
            transformers={
                name: steps.get(name, {})
                for name, step in parts.transformers.items()
                if isinstance(step, Transformer)
            },
            fitted=self._data.fitted,
            run=here.run.id,
            round=here.number,
            metrics=here.measured,
            versions=parts.versions,
        )


def _status(error: BaseException) -> Status:
    if isinstance(error, KeyboardInterrupt):
        return Status.INTERRUPTED
    return Status.CANCELLED if isinstance(error, Cancelled) else Status.FAILED


def _spent(started: float, trained: float, ended: float) -> dict[str, float]:
    return {"train": trained - started, "evaluate": ended - trained, "total": ended - started}
