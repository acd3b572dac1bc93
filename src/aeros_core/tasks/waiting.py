"""Waits that end: pause and cancel reach whoever waits, and a reason is said each minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

__all__ = ["MINUTE", "TICK", "Reminder", "apart", "check", "hearing"]

TICK = 1.0
"""Seconds that a wait may last, at most, before it calls `check`."""

MINUTE = 60.0
"""Seconds between two lines that say why something is waited for."""

T = TypeVar("T")


def _nobody() -> None:
    """Do nothing: nobody is to be heard."""


_heard: ContextVar[Callable[[], None]] = ContextVar("heard", default=_nobody)


@contextmanager
def hearing(check: Callable[[], None]) -> Iterator[None]:
    """Have every wait within, of this thread, call something every second.

    Args:
        check: Holds the wait up while the task is paused, and raises where it is to end.
    """
    before = _heard.set(check)
    try:
        yield
    finally:
        _heard.reset(before)


def check() -> None:
    """Wait while the task is paused; every wait calls this at least each `TICK` seconds.

    Raises:
        Cancelled: The task was cancelled, or nobody waits for its result any more.
    """
    _heard.get()()


def apart(call: Callable[[], T]) -> T:
    """Return what a call returns that may block for long, and hear meanwhile what `check` hears.

    Where the wait is ended, the call goes on in a thread of its own, for nobody.

    Raises:
        Cancelled: See `check`.
    """
    if _heard.get() is _nobody:
        return call()
    found: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()
    Thread(target=_do, args=(call, found), daemon=True).start()
    while True:
        check()
        with suppress(Empty):
            result, error = found.get(timeout=TICK)
            break
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # without an error it is one


def _do(call: Callable[[], T], found: SimpleQueue[tuple[T | None, BaseException | None]]) -> None:
    try:
        found.put((call(), None))
    except BaseException as error:
        found.put((None, error))


class Reminder:
    """Tells, at most once a minute, why something is waited for.

    Args:
        tell: Hears the reason.
        first: Seconds of waiting before it is told for the first time.
    """

    def __init__(self, tell: Callable[[str], None], first: float = MINUTE) -> None:
        self._tell, self._first = tell, first
        self.restart()

    def restart(self) -> None:
        """Begin to wait anew: what was waited for has come."""
        self._due = time.monotonic() + self._first

    def say(self, reason: str) -> None:
        """Tell the reason if it is due."""
        if time.monotonic() >= self._due:
            self._tell(reason)
            self._due = time.monotonic() + MINUTE
