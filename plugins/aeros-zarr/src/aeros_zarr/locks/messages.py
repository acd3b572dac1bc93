"""What is said of a run that another process holds, or has taken over."""

from __future__ import annotations

from aeros_core.errors import ConfigError, RepositoryError
from aeros_zarr.locks.owner import Holder

__all__ = ["Locked", "Lost", "held", "taken_over"]


class Locked(Exception):
    """Another process holds a lock.

    Args:
        holder: It, if it says what it is.
        age: Seconds since its last sign of life, where it has to give some.
        lease: Seconds after which it is taken for dead; None where the system knows.
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
    who, seen = error.holder, ""
    if error.age is not None and error.lease is not None:
        left = max(1, round(error.lease - error.age))
        seen = (
            f"it gave a sign of life {max(0, round(error.age))} s ago; if it was killed, the run is"
            f" free in {left} s"
        )
    end = f", or end it: kill {who.pid}, on {who.host}" if who else ""
    return ConfigError(
        f"run '{run}' is held by another process: {who or 'it has not said which'}",
        exists=seen,
        hint=f"wait until it ends{end}; the same command then goes on with task.resume=true,"
        " and with task.resume=false it begins a run of its own at once",
    )


def taken_over(run: str, error: Lost) -> RepositoryError:
    """Return the error of a run that this process held, and another one holds now."""
    return RepositoryError(
        f"run '{run}' was taken over by {error.holder}, as this process gave no sign of life;"
        " nothing more of it is stored from here",
        hint="aeros results shows how far the other one has got",
    )
