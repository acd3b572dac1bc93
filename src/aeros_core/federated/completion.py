"""How a run ends, whichever way, and how somebody outside holds it up before."""

from __future__ import annotations

import time
from collections.abc import Mapping

from aeros_core.errors import AerosError, Interrupted
from aeros_core.federated import timing
from aeros_core.federated.run_state import RunState
from aeros_core.results import Result, Status, capped, dropped
from aeros_core.roles.components import Components
from aeros_core.tasks.control import Cancelled
from aeros_core.tasks.task import Task

__all__ = ["check_control", "fail_run", "finish_run"]


def check_control(task: Task, parts: Components) -> None:
    """Stop between two messages where somebody outside asks for it.

    Raises:
        Cancelled: Somebody cancelled the task.
    """
    control = parts.control
    if control.paused:
        parts.events.aeros_on_status(task=task, status=Status.PAUSED)
        with timing.paused():
            control.check()
        parts.events.aeros_on_status(task=task, status=Status.RUNNING)
    control.check()


def finish_run(
    task: Task,
    parts: Components,
    here: RunState,
    status: Status,
    began: float,
    model: Mapping[str, str | int] | None = None,
) -> Result:
    """Record how a run ended, tell of it, and return it.

    Args:
        task: What was run.
        parts: With what.
        here: The run, and what it committed.
        status: How it ended.
        began: When this sitting did, in `time.monotonic` seconds.
        model: Name, version and digest of the model it stored or answered with.

    Raises:
        RepositoryError: A run that went well could not be recorded.
    """
    result = Result(
        task=task.name,
        status=status,
        rounds=here.number,
        metrics=here.measured,
        model=model or {},
        seconds=here.before + time.monotonic() - began,
        sent=sum(r.sent for r in here.history),
        received=sum(r.received for r in here.history),
        versions=parts.versions,
        dropped=dropped(here.history),
        capped=capped(here.history),
    )
    try:
        parts.repository.finish(here.run.id, result)
        here.ended = True
    except AerosError:  # the repository may be what failed: the others hear of the end
        if status is Status.FINISHED:
            raise
    parts.events.aeros_on_status(task=task, status=status)
    parts.events.aeros_after_task(task=task, result=result)
    return result


def fail_run(
    task: Task, parts: Components, here: RunState, began: float, error: BaseException
) -> None:
    """Record that a run ended before its time; what ended it is to be raised again.

    Raises:
        Interrupted: It was Ctrl-C.
    """
    parts.events.aeros_on_error(task=task, error=error)
    if here.ended:  # it was a listener that failed: what is recorded stays
        return
    finish_run(task, parts, here, _status(error), began)
    if isinstance(error, KeyboardInterrupt):
        kept = f"rounds 1 to {here.number} are" if here.number else "no round is"
        raise Interrupted(
            f"interrupted; {kept} committed in run {here.run.id}",
            hint="the same command with task.resume=true goes on",
        ) from None


def _status(error: BaseException) -> Status:
    if isinstance(error, KeyboardInterrupt):
        return Status.INTERRUPTED
    return Status.CANCELLED if isinstance(error, Cancelled) else Status.FAILED
