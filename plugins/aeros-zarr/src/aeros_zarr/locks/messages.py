"""Errors of a run that another process holds, or has taken over."""

from __future__ import annotations

from aeros_core.errors import ConfigError, RepositoryError
from aeros_zarr.locks.owner import Holder

__all__ = ["Locked", "Lost", "held", "taken_over"]


class Locked(Exception):
    """Another process holds a lock.

    Args:
        holder: The process, if its description can be read.
        age: Seconds since its last heartbeat; None for locks of the operating system.
        lease: Seconds without a heartbeat after which it counts as dead; None for locks of
            the operating system.
    """

    def __init__(
        self, holder: Holder | None, age: float | None = None, lease: float | None = None
    ) -> None:
        super().__init__(holder)
        self.holder = holder
        self.age = age
        self.lease = lease


class Lost(Exception):
    """Another process has taken a lock over."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(holder)
        self.holder = holder


def held(run: str, error: Locked) -> ConfigError:
    """Return the error of a run that another process holds."""
    holder, seen = error.holder, ""
    if error.age is not None and error.lease is not None:
        left = max(1, round(error.lease - error.age))
        seen = (
            f"last heartbeat {max(0, round(error.age))} s ago; if that process was killed, the run"
            f" is free in {left} s"
        )
    end = f", or end it: kill {holder.pid}, on {holder.host}" if holder else ""
    return ConfigError(
        f"run '{run}' is held by another process: {holder or 'its description is missing'}",
        exists=seen,
        hint=f"wait until it ends{end}; then continue with task.resume=true, or start a new run"
        " at once with task.resume=false",
    )


def taken_over(run: str, error: Lost) -> RepositoryError:
    """Return the error of a run that this process held, and another one holds now."""
    return RepositoryError(
        f"run '{run}' was taken over by {error.holder}, as this process sent no heartbeat;"
        " this process stores nothing more of it",
        hint="aeros results shows the progress of the other process",
    )
