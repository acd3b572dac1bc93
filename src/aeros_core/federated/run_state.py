"""A run's beginning, or its going on where a killed process left it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeAlias

from aeros_core.errors import ConfigError
from aeros_core.messages import Metrics, State
from aeros_core.parameters import Parameters
from aeros_core.records import Run
from aeros_core.results import Result, Round, Status
from aeros_core.roles.components import Components
from aeros_core.roles.repository import Repository, SupportsRunLocks
from aeros_core.roles.stateful import SupportsState
from aeros_core.tasks import identity
from aeros_core.tasks.task import Task

__all__ = [
    "RunState",
    "StatefulParts",
    "acquire",
    "now",
    "open_run",
    "opened",
    "release",
    "state_of",
    "stateful_parts",
    "stored_state",
]  # fmt: skip

StatefulParts: TypeAlias = Mapping[str, SupportsState]
"""Who has a state that an exact resume has to bring back, by role."""


@dataclass(slots=True)
class RunState:
    """One process's part in a run: what was there when it sat down, and what it adds.

    Args:
        run: The run, new or resumed.
        parameters: The global parameters now.
        history: Every committed round, in order.
        before: Seconds that earlier sittings took.
        ended: Whether the repository has recorded how it ended, which is then so.
    """

    run: Run
    parameters: Parameters
    history: list[Round] = field(default_factory=list)
    before: float = 0.0
    ended: bool = False

    @property
    def number(self) -> int:
        """Number of the last committed round; 0 before the first."""
        return self.history[-1].number if self.history else 0

    @property
    def measured(self) -> Metrics:
        """The last metrics that were measured; empty before the first."""
        return next((r.watched for r in reversed(self.history) if r.watched), {})


def now() -> str:
    """Return the present moment, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def open_run(
    task: Task, parts: Components, keepers: StatefulParts, initialise: Callable[[], Parameters]
) -> RunState:
    """Begin a run and hold it; with ``task.resume`` go on with the last one of this task.

    A task that was never begun is begun, resume or not, so a script may always resume.

    Raises:
        ConfigError: There are runs of this task, but with another configuration; or another
            process holds the one that was to go on.
    """
    if task.resume and (run := _resumable(task, parts)):
        acquire(parts.repository, run.id)
        try:
            return _continue(run, parts, keepers, initialise)
        except BaseException:
            release(parts.repository, run.id)
            raise
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    run = Run(
        id=f"{task.name}-{stamp}-{secrets.token_hex(3)}",
        task=task.name,
        identity=parts.identity,
        config=parts.config,
        versions=parts.versions,
        created=now(),
    )
    start = initialise()  # where that fails, nothing was begun
    parts.repository.begin(run)
    acquire(parts.repository, run.id)
    return RunState(run, start)


@contextmanager
def opened(
    task: Task, parts: Components, keepers: StatefulParts, initialise: Callable[[], Parameters]
) -> Iterator[RunState]:
    """Begin a run or go on with it, as `open_run` does, and hold it until the block ends.

    Raises:
        ConfigError: As `open_run`.
    """
    here = open_run(task, parts, keepers, initialise)
    try:
        yield here
    finally:
        release(parts.repository, here.run.id)


def acquire(repository: Repository, run: str) -> None:
    """Hold a run, where the repository keeps others from going on with it meanwhile.

    Raises:
        ConfigError: Another process holds it.
    """
    if isinstance(repository, SupportsRunLocks):
        repository.acquire(run)


def release(repository: Repository, run: str) -> None:
    """Let others go on with a run."""
    if isinstance(repository, SupportsRunLocks):
        repository.release(run)


def finished(task: Task, parts: Components, run: Run) -> Result | None:
    """Return the result of a run that has nothing left to do; None otherwise."""
    stored = parts.repository.result(run.id)
    if stored is None or stored["status"] != Status.FINISHED:
        return None
    result = Result.from_json(stored)
    done = result.rounds >= task.rounds or task.stop.reached(result.metrics)
    return result if done else None


def _resumable(task: Task, parts: Components) -> Run | None:
    runs = parts.repository.runs(task.name)
    same = [run for run in runs if _identity(run, parts) == parts.identity]
    if not same and runs:
        differing = identity.differences(runs[-1].config, parts.config, parts.decisive or dict)
        raise ConfigError(
            f"task.resume=true: no run of task '{task.name}' had this configuration",
            exists=f"run {runs[-1].id}, with " + ", ".join(differing),
            hint="type the same options again, or start anew with task.resume=false",
        )
    return same[-1] if same else None


def _identity(run: Run, parts: Components) -> str:
    """Return the identity of a stored run as it is computed now, whichever version began it."""
    if parts.decisive is None:
        return run.identity
    return identity.digest(parts.decisive(run.config))


def _continue(
    run: Run, parts: Components, keepers: StatefulParts, initialise: Callable[[], Parameters]
) -> RunState:
    checkpoint = parts.repository.latest(run.id)
    run = replace(run, config=parts.config)  # where it is kept, for instance, may have changed
    if checkpoint is None:
        return RunState(run, initialise())
    for role, state in checkpoint.state.items():
        if role in keepers:
            keepers[role].restore(state)
    history = [r for r in parts.repository.history(run.id) if r.number <= checkpoint.round.number]
    return RunState(run, checkpoint.parameters, history, checkpoint.seconds)


def stored_state(task: Task, parts: Components, role: str) -> State:
    """Return what a role kept at the last round of the run that the task goes on with.

    Args:
        task: Whether it goes on with a run.
        parts: Where runs are kept, and the identity of this one.
        role: As in `stateful_parts`.

    Returns:
        The state; empty where the task begins anew.

    Raises:
        ConfigError: There are runs of this task, but with another configuration.
    """
    run = _resumable(task, parts) if task.resume else None
    checkpoint = None if run is None else parts.repository.latest(run.id)
    return {} if checkpoint is None else checkpoint.state.get(role, {})


def stateful_parts(parts: Components, nodes: object) -> StatefulParts:
    """Return which of a task's objects keep a state: collector, trainer and nodes."""
    named = {"collector": parts.collector, "trainer": parts.trainer, "nodes": nodes}
    return {role: part for role, part in named.items() if isinstance(part, SupportsState)}


def state_of(keepers: StatefulParts) -> dict[str, State]:
    """Return the state of each that has one now, by role."""
    return {role: state for role, part in keepers.items() if (state := part.state())}
