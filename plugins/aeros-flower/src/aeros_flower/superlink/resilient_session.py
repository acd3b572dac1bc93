"""A line to nodes that outlives the SuperLink behind it.

A SuperLink elsewhere may be lost and come back, with or without what it knew. Then a new run
is begun there, the nodes that come are asked anew, and what was on its way is sent again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from aeros_core.errors import TaskError
from aeros_core.tasks import waiting
from aeros_core.tasks.waiting import Reminder
from aeros_flower.superlink.embedded import PulledMessages

__all__ = ["TICK", "ResilientSession", "Session", "SessionLost"]

_T = TypeVar("_T")

TICK = 0.2
"""Seconds between two questions for answers; a stock SuperLink does not tell."""

_LOOK = 0.5
"""Seconds for which an answer to who is there holds."""

_AGAIN = 0.5
"""Seconds between two attempts to reach a SuperLink that is lost."""


class SessionLost(ConnectionError):
    """The SuperLink cannot be reached, or does not know this run any more."""


class Session(Protocol):
    """One run on a SuperLink; all but the ends of it raise `SessionLost` where it is lost."""

    def nodes(self) -> set[int]:
        """See `executors.Post`."""

    def executors(self) -> set[int]:
        """Return the numbers of those that are known to be executors of aeros."""

    def push(self, node: int, content: Any, seconds: float | None, kind: str) -> str | None:
        """See `embedded.EmbeddedSuperLink`."""

    def pull(self, messages: set[str], most: int) -> list[PulledMessages]:
        """See `executors.Post`."""

    def recall(self, messages: Iterable[str]) -> list[str]:
        """See `executors.Post`."""

    def wait(self, seconds: float) -> bool:
        """See `executors.Post`; without notification of new messages, wait a moment."""

    def abandon(self) -> None:
        """Let go of a run that is lost."""

    def close(self) -> None:
        """End the run."""


class ResilientSession:
    """Messages over one session after the other (`executors.Post`).

    Args:
        address: Host and port at which executors find the SuperLink.
        begin: Begins a session, given the one that was lost; None while nobody answers.
        wait: Seconds to wait for one, at the start and whenever it is lost.
        tell: Hears when it is lost and when it is back.
        after: Called when the line is closed.

    Raises:
        TaskError: None could be begun in time.
    """

    def __init__(
        self,
        address: str,
        begin: Callable[[Session | None], Session | None],
        wait: float,
        tell: Callable[[str], None],
        after: Callable[[], None] = lambda: None,
    ) -> None:
        self.address, self._begin, self._wait, self._tell = address, begin, wait, tell
        self._after = after
        self._calling, self._minute = False, Reminder(tell)
        self._session: Session | None = None
        self._before: Session | None = None
        self._lost, self._why = False, "nobody answers"
        self._since, self._tried, self._looked = time.monotonic(), 0.0, 0.0
        self._there: set[int] = set()
        if self._opened() is None:
            tell(f"waits for the SuperLink at {address} ({self._why})")
        while self._opened() is None:
            waiting.check()
            time.sleep(TICK)

    def _opened(self) -> Session | None:
        """Return the session, begun anew if it was lost; None while that is not possible.

        Raises:
            TaskError: It was not possible for too long.
        """
        now = time.monotonic()
        if self._session is None and self._tried and now - self._since > self._wait:
            first = "start it" if self._before is None else "start it again, then the same command"
            more = "" if self._before is None else " with task.resume=true"
            raise TaskError(
                f"the SuperLink at {self.address} could not be reached for {self._wait:g} s"
                f" ({self._why})",
                hint=f"{first}{more}; controller.wait=SECONDS waits longer",
            )
        if self._session is None and now - self._tried >= _AGAIN:
            self._tried = now
            try:
                self._session = self._begin(self._before)
            except SessionLost as error:
                self._why = str(error)
            if self._session is None:
                self._minute.say(f"waits for the SuperLink at {self.address} ({self._why})")
            if self._session is not None and self._before is not None:
                self._tell(f"the SuperLink at {self.address} is back")
        return self._session

    def _asked(self, call: Callable[[Session], _T], otherwise: _T) -> _T:
        """Return what a call to the session returns, or something else where it is lost."""
        session = None if self._lost else self._opened()
        if session is None:
            return otherwise
        self._calling = True
        try:
            found = call(session)
        except SessionLost as error:
            self._tell(f"the SuperLink at {self.address} is lost ({error})")
            session.abandon()
            self._calling = False
            self._session, self._before = None, session
            self._lost, self._why = True, str(error)
            self._since, self._looked = time.monotonic(), 0.0
            self._minute.restart()
            return otherwise
        self._calling = False
        return found

    def nodes(self) -> set[int]:
        """Return the numbers of all nodes that are there now; none once the session was lost."""
        if self._lost:  # said once, so that everything on its way is sent again
            self._lost = False
            return set()
        if time.monotonic() - self._looked > _LOOK:
            self._there = self._asked(lambda session: session.nodes(), set())
            self._looked = time.monotonic()
        return self._there

    def executors(self) -> set[int]:
        """Return the numbers of those that are known to be executors of aeros."""
        return self._asked(lambda session: session.executors(), set())

    def push(
        self, node: int, content: Any, seconds: float | None = None, kind: str = "train.aeros"
    ) -> str | None:
        """Send a message; see `embedded.EmbeddedSuperLink.push`."""
        return self._asked(lambda session: session.push(node, content, seconds, kind), None)

    def pull(self, messages: Iterable[str], most: int = 1) -> list[PulledMessages]:
        """Return up to ``most`` answers that are here; see `embedded.EmbeddedSuperLink.pull`."""
        asked = set(messages)
        return self._asked(lambda session: session.pull(asked, most), [])

    def recall(self, messages: Iterable[str]) -> list[str]:
        """Take back what was not asked for yet; a stock SuperLink gives nothing back."""
        return self._asked(lambda session: session.recall(messages), [])

    def wait(self, seconds: float) -> bool:
        """Wait until something has come, or a moment."""
        if self._session is None or self._lost:
            time.sleep(min(max(seconds, 0), TICK))
            return True
        return self._asked(lambda session: session.wait(max(seconds, 0)), True)

    def close(self) -> None:
        """End the session; one in which a call is still under way is let go of."""
        if self._session is not None:
            (self._session.abandon if self._calling else self._session.close)()
        self._after()
