"""Memory of messages that have passed, given back before Python would look for it.

Servers and clients of HTTP leave each request in a cycle of tasks, frames and responses,
and its body with it. Python looks for cycles by the number of objects, not by their size: a
gigabyte hangs in a few thousand. So after some tens of megabytes it is told to look.
"""

from __future__ import annotations

import gc
import threading

__all__ = ["BodyGarbage", "passed", "settle"]

ENOUGH = 2**25
"""Bytes after which one looks."""


class BodyGarbage:
    """Counts the bytes of bodies that have come or gone and are needed no more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = 0
        self._frozen = False

    def __call__(self, nbytes: int) -> None:
        """Count some; once there are enough of them, look for what hangs on nothing."""
        with self._lock:
            self._since += nbytes
            if self._since < ENOUGH:
                return
            self._since = 0
            self._look()

    def settle(self) -> None:
        """Take what is there now for what stays; called a second time it does nothing."""
        with self._lock:
            if not self._frozen:
                self._look()

    def _look(self) -> None:
        gc.collect()
        if not self._frozen:
            # What was there before is not looked at again: to go through all that is
            # imported takes a third of a second each time, and it comes to that once a round.
            self._frozen = True
            gc.freeze()


passed = BodyGarbage()
settle = passed.settle
