"""Which executors a task goes on with, and the wait for those that it lacks."""

from __future__ import annotations

import time
from collections.abc import Callable

from aeros_core.errors import TaskError
from aeros_core.reporting.text import counted
from aeros_core.tasks.waiting import Reminder
from aeros_flower.membership.executors import ConnectedExecutor, Executors, Post

__all__ = ["Presence"]

_TICK = 0.5
"""Seconds between two looks at who is there."""

_NAMED = 5
"""Executors that a line names, at most."""

_OTHER_KIND = {
    True: "it has data of its own, and this task's clients are those of its partition",
    False: "it has no data of its own (--own), and this task's clients are executors that do",
}


class Presence:
    """The executors of one kind: those with data of their own, or those without.

    Whichever kind is there first is the task's to its end; the other stands aside. So no
    executor that comes later turns a task over partitioned data into one over its own.

    Args:
        roster: Who is there.
        post: Where somebody comes.
        patience: Seconds to wait for executors that are missing.
    """

    def __init__(self, roster: Executors, post: Post, patience: float) -> None:
        self._roster, self._post, self._patience = roster, post, patience
        self._seen = time.monotonic()
        self._known: set[str] = set()
        self._alone = Reminder(roster.tell, first=0.0)
        self.own: bool | None = None

    own: bool | None
    """Whether they have data of their own; None before the first is there."""

    @property
    def fit(self) -> list[ConnectedExecutor]:
        """Those that may be sent something now, by name."""
        fit = self._roster.fit
        if self.own is None and fit:
            self.own = any(member.own for member in fit)
        others = [member for member in fit if member.own is not self.own]
        for member in others:
            self._roster.set_aside(member, _OTHER_KIND[member.own])
        if others:  # rests are looked at among those that are left
            fit = self._roster.fit
        if fit:
            self._seen = time.monotonic()
            self._known.update(member.name for member in fit)
        return fit

    @property
    def open_to(self) -> list[ConnectedExecutor]:
        """Those that messages may go to: what one has alone is sent to it also in its rest."""
        fit = self.fit
        return [m for m in self._roster.able if m.own] if self.own else fit

    @property
    def missing(self) -> list[str]:
        """Names of those that have been there and are not."""
        return sorted(self._known - {member.name for member in self._roster.able})

    def is_deserted(self) -> bool:
        """Return whether no executor is left; report it at once, and then once a minute."""
        if self._roster.able or self._roster.preparing or not self._known:
            return False
        self._alone.say(f"waits for executors: none is there{self._gone()}")
        return True

    def wait(self, there: Callable[[], int], count: int, check: Callable[[], None]) -> None:
        """Wait until a round has enough clients; say at once and each minute what is missing.

        Args:
            there: Returns how many there are.
            count: How many are enough.
            check: Called between two looks; raises where the task is to end.

        Raises:
            TaskError: They have not come within the patience, reckoned from when the last
                executor was there.
        """
        reminder = Reminder(self._roster.tell, first=0.0)
        since = time.monotonic() if there() else self._seen
        while (here := there()) < count:
            began = time.monotonic()
            check()
            since += time.monotonic() - began  # a pause uses nothing of it up
            if self._resting(here):
                since = time.monotonic()
            if time.monotonic() - since > self._patience and not self._roster.preparing:
                raise self._error(here, count)
            reminder.say(f"waits for executors: {self._lack(here, count)}")
            self._post.wait(_TICK)

    def _resting(self, here: int) -> bool:
        """Tell whether some are there that rest: their rests end by themselves."""
        return bool(self.own) and len(self._roster.able) > here

    def _lack(self, here: int, count: int) -> str:
        what = "client" if self.own is False else "executor"
        return f"{here} of {counted(count, what)} that a round needs are there{self._gone()}"

    def _gone(self) -> str:
        gone = self.missing
        more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
        return f"; gone: {', '.join(gone[:_NAMED])}{more}" if gone else ""

    def _error(self, here: int, count: int) -> TaskError:
        return TaskError(
            f"{self._lack(here, count)}; waited {self._patience:g} s for them",
            hint="start them again, then the same command with task.resume=true;"
            " controller.wait=SECONDS waits longer",
        )
