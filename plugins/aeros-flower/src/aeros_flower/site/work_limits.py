"""Bounds on the work for one message that hold whatever the task's parts do.

Time: an alarm interrupts the work, and where it is in compiled code and does not end, the process
does. Memory: the system refuses to give the process more than its limit (``RLIMIT_DATA``).
"""

from __future__ import annotations

import faulthandler
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

__all__ = ["GRACE", "OutOfTime", "limited_memory", "limited_time", "taken_mb"]

GRACE = 30.0
"""Seconds after the alarm until the process is ended."""


class OutOfTime(BaseException):
    """The time is over; no part of a task takes this for an error of its own."""


@contextmanager
def limited_time(seconds: float | None) -> Iterator[None]:
    """Interrupt what is done within once the time is over.

    Args:
        seconds: How long it may take; None: as long as it needs.

    Raises:
        OutOfTime: It was interrupted.
    """
    if seconds is None:
        yield
        return
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, _over) if main else None
    # a thread of C's own, which needs no turn of Python's, so that compiled loops end, too
    faulthandler.dump_traceback_later(seconds + GRACE, exit=True, file=sys.__stderr__ or 2)
    try:
        if main:
            signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        if main:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)


def _over(_number: int, _frame: FrameType | None) -> None:
    raise OutOfTime


@contextmanager
def limited_memory(mebibytes: int | None) -> Iterator[None]:
    """Let this process have no more than so much memory, processes that it starts likewise.

    Args:
        mebibytes: Of the whole process; None: what it had before.
    """
    if mebibytes is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    least = [n for n in (mebibytes * 2**20, soft, hard) if n != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(least), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def taken_mb() -> float:
    """Return how much of that memory this process has taken, in MiB."""
    told = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    for line in told.splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) / 1024
    return 0.0
