"""A run's beginning, or its going on where a killed process left it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from aeros_core.errors import ConfigError
from aeros_core.messages import Metrics, State
from aeros_core.outcomes import Result, Round, Status
from aeros_core.parameters import Parameters
from aeros_core.powers import SupportsState
from aeros_core.records import Run
from aeros_core.roles import Components, Repository
from aeros_core.storage_powers import SupportsRunLocks
from aeros_core.task import Task

__all__ = ["Keepers", "Sitting", "hold", "keepers", "let_go", "now", "open_run", "opened",
            "state_of", "stored_state"]  # fmt: skip

Keepers: TypeAlias = Mapping[str, SupportsState]
"""Who has a state that an exact resume has to bring back, by role."""

NOT_IDENTITY = (
    "name", "rounds", "resume", "stop", "subtasks", "deadline", "below", "attempts", "samples",
)  # fmt: skip
"""Options of a task that may change between two sittings of one run."""

LATER = {"collect": "statistics", "over": "all", "max_share": 0.5}
"""Options that earlier runs do not have: left out where they are as they would have been."""

LATER_STEPS = {"categories": None, "units": None, "unknown": "refuse", "alphabet": ""}
"""The same of transformers."""


@dataclass(slots=True)
class Sitting:
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
    task: Task, parts: Components, keepers: Keepers, initialise: Callable[[], Parameters]
) -> Sitting:
    """Begin a run and hold it; with ``task.resume`` go on with the last one of this task.

    A task that was never begun is begun, resume or not, so a script may always resume.

    Raises:
        ConfigError: There are runs of this task, but with another configuration; or another
            process holds the one that was to go on.
    """
    if task.resume and (run := _resumable(task, parts)):
        hold(parts.repository, run.id)
        try:
            return _continue(run, parts, keepers, initialise)
        except BaseException:
            let_go(parts.repository, run.id)
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
    hold(parts.repository, run.id)
    return Sitting(run, start)


@contextmanager
def opened(
    task: Task, parts: Components, keepers: Keepers, initialise: Callable[[], Parameters]
) -> Iterator[Sitting]:
    """Begin a run or go on with it, as `open_run` does, and hold it until the block ends.

    Raises:
        ConfigError: As `open_run`.
    """
    here = open_run(task, parts, keepers, initialise)
    try:
        yield here
    finally:
        let_go(parts.repository, here.run.id)


def hold(repository: Repository, run: str) -> None:
    """Hold a run, where the repository keeps others from going on with it meanwhile.

    Raises:
        ConfigError: Another process holds it.
    """
    if isinstance(repository, SupportsRunLocks):
        repository.acquire(run)


def let_go(repository: Repository, run: str) -> None:
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
    same = [run for run in runs if run.identity == parts.identity]
    if not same and runs:
        differing = _differences(runs[-1].config, parts.config)
        raise ConfigError(
            f"task.resume=true: no run of task '{task.name}' had this configuration",
            exists=f"run {runs[-1].id}, with " + ", ".join(differing),
            hint="type the same options again, or start anew with task.resume=false",
        )
    return same[-1] if same else None


def _continue(
    run: Run, parts: Components, keepers: Keepers, initialise: Callable[[], Parameters]
) -> Sitting:
    checkpoint = parts.repository.latest(run.id)
    if checkpoint is None:
        return Sitting(run, initialise())
    for role, state in checkpoint.state.items():
        if role in keepers:
            keepers[role].restore(state)
    history = [r for r in parts.repository.history(run.id) if r.number <= checkpoint.round.number]
    return Sitting(run, checkpoint.parameters, history, checkpoint.seconds)


def stored_state(task: Task, parts: Components, role: str) -> State:
    """Return what a role kept at the last round of the run that the task goes on with.

    Args:
        task: Whether it goes on with a run.
        parts: Where runs are kept, and the identity of this one.
        role: As in `keepers`.

    Returns:
        The state; empty where the task begins anew.

    Raises:
        ConfigError: There are runs of this task, but with another configuration.
    """
    run = _resumable(task, parts) if task.resume else None
    checkpoint = None if run is None else parts.repository.latest(run.id)
    return {} if checkpoint is None else checkpoint.state.get(role, {})


def keepers(parts: Components, nodes: object) -> Keepers:
    """Return which of a task's objects keep a state: collector, trainer and nodes."""
    named = {"collector": parts.collector, "trainer": parts.trainer, "nodes": nodes}
    return {role: part for role, part in named.items() if isinstance(part, SupportsState)}


def state_of(keepers: Keepers) -> dict[str, State]:
    """Return the state of each that has one now, by role."""
    return {role: state for role, part in keepers.items() if (state := part.state())}


def identity_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what in a configuration decides the result: data, algorithms, seeds."""
    kept = {name: config.get(name) for name in ("trainer", "collector")}
    kept |= {"inferencer": inferencer} if (inferencer := config.get("inferencer")) else {}
    steps = config.get("transformer") or {}
    kept |= {"transformer": f"[{','.join(steps)}]"}  # their order decides, too
    kept |= {
        f"transformer.{name}": _without(options, LATER_STEPS) for name, options in steps.items()
    }
    task = _without(config.get("task") or {}, LATER)
    return {**kept, "task": {k: v for k, v in task.items() if k not in NOT_IDENTITY}}


def _without(options: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Return options without those that were added later and are at their default."""
    return {k: v for k, v in options.items() if k not in later or v != later[k]}


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    before, after = flatten(identity_of(old)), flatten(identity_of(new))
    keys = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
    return [f"{key}={before.get(key, 'absent')}" for key in keys]


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, its keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
