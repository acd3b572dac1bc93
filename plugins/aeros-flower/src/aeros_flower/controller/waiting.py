"""The wait for executors before the first round."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aeros_core.errors import AerosError, ConfigError, TaskError
from aeros_core.reporting.text import counted
from aeros_core.tasks.waiting import Reminder
from aeros_flower.controller.join_hints import JoinHints
from aeros_flower.membership.executors import Executors
from aeros_flower.superlink.endpoint import Endpoint
from aeros_flower.system.network import say

__all__ = ["Gathering"]

_SETTLED = 5.0
"""Seconds without anybody new after which too few that can take part are too few: executors
that wait for a controller look for it every two."""

_NAMED = 10
"""Executors that a message names, at most."""


@dataclass(slots=True)
class Gathering:
    """Waits until as many executors are ready as were asked for.

    Args:
        link: Where they come to.
        roster: Who is there.
        expected: How many there are to be.
        seconds: To wait for them.
        invitation: How they are started.
    """

    link: Endpoint
    roster: Executors
    expected: int
    seconds: float
    invitation: JoinHints = field(default_factory=JoinHints)

    def wait(self, check: Callable[[], None]) -> None:
        """Wait; those that stand aside are waited past, as others may come.

        Args:
            check: Called now and then; raises where the task is to end.

        Raises:
            ConfigError: Too few can take part, and others said why not.
            TaskError: Too few came in time.
        """
        roster, told, heard, reminder = self.roster, False, 0, Reminder(say)
        ends = since = time.monotonic()
        ends += self.seconds
        while True:
            check()
            roster.refresh()
            left = ends - time.monotonic()
            if self._able >= self.expected and (not roster.preparing or left <= 0):
                return
            if heard != len(roster.members) or roster.preparing:
                heard, since = len(roster.members), time.monotonic()
            enough = self._able + len(roster.unfit) >= self.expected
            settled = time.monotonic() - since > _SETTLED
            if left <= 0 or (roster.unfit and enough and settled):
                raise self._error()
            if not told:
                say(f"waiting at {self.link.address} for {counted(self.expected, 'executor')}")
                told = True
            reminder.say(self._lacking())
            self.link.wait(min(left, 0.5))

    @property
    def _able(self) -> int:
        return sum(not member.problem for member in self.roster.members.values())

    def _lacking(self) -> str:
        """Return in words what is waited for."""
        preparing = self.roster.preparing
        loads = f", {preparing} more prepare their data" if preparing else ""
        wanted = f"{self._able} of {counted(self.expected, 'executor')}"
        return f"waiting at {self.link.address}: {wanted} can take part{loads}"

    def _error(self) -> AerosError:
        """Return what says who is missing, and why."""
        unfit, aside, preparing = self.roster.unfit, self.roster.aside, self.roster.preparing
        if unfit or aside:
            fix = "fix each as its line says, here or where it runs"
            return ConfigError(
                f"executors cannot take part: {_listed(unfit | aside)}",
                hint=fix
                if unfit
                else "start others, or change controller.only, controller.nodes"
                " or task.subtasks.<name>.requires",
            )
        silent = f"{counted(preparing, 'node')} did not answer" if preparing else ""
        came = f"{self._able} of {counted(self.expected, 'executor')}"
        start = self.invitation.words(self.link.address, self.expected)
        return TaskError(
            f"{came} came within {self.seconds:g} s",
            exists=silent and f"{silent}: Flower's own SuperNodes need controller.stock=true",
            hint=f"{start}; controller.wait=SECONDS waits longer",
        )


def _listed(reasons: dict[str, str]) -> str:
    lines = [f"{name}: {why}" for name, why in sorted(reasons.items())]
    more = [f"and {len(lines) - _NAMED} more"] if len(lines) > _NAMED else []
    return "; ".join(lines[:_NAMED] + more)
