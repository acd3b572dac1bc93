"""A circuit breaker: who fails again and again is left alone for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["CircuitBreaker"]


class CircuitBreaker:
    """Closed while requests succeed; open after failures; then one request is let through.

    Nygard 2018, "Release It!", section 5.2.

    Args:
        failures: Failures one after the other that open it.
        pause: Seconds until one request is let through.
        clock: Seconds that never go back.
    """

    def __init__(
        self, failures: int, pause: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._failures, self._pause, self._clock = failures, pause, clock
        self._lock = threading.Lock()
        self._failed = 0
        self._until = 0.0

    @property
    def open(self) -> bool:
        """Whether so many failed that requests are held back."""
        return self._failed >= self._failures

    def closed_in(self) -> float:
        """Return 0 if a request may go, or the seconds until one may.

        The one that is let through after a pause keeps the others waiting for another.
        """
        with self._lock:
            if not self.open:
                return 0.0
            now = self._clock()
            if now < self._until:
                return self._until - now
            self._until = now + self._pause
            return 0.0

    def tell(self, *, success: bool) -> None:
        """Hear how a request ended."""
        with self._lock:
            if success:
                self._failed = 0
                return
            self._failed += 1
            if self.open:
                self._until = self._clock() + self._pause
