"""Release the interpreter's lock during long work in Python."""

from __future__ import annotations

import time

__all__ = ["release_interpreter"]

_PAUSE = 5e-5
"""Seconds without the lock; a thread that waits for it takes about as long to wake up."""


def release_interpreter() -> None:
    """Let a thread that waits for the interpreter's lock have it; call this every few milliseconds.

    Python asks the holder to release the lock only where it was held for the whole switch interval.
    Functions of numpy release it for an instant and have it again before a waiting thread
    has woken up, which starts its interval anew: such work can hold up the event loop for
    100 ms and more.
    """
    time.sleep(_PAUSE)
