"""What training has taken so far."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Pace"]


@dataclass(slots=True)
class Pace:
    """Clients trained one after the other, and the time of it.

    Args:
        clients: How many.
        seconds: In all.
    """

    clients: int = 0
    seconds: float = 0.0

    @contextmanager
    def client(self) -> Iterator[None]:
        """Count a client, and the time that is spent within."""
        began = time.perf_counter()
        yield
        self.clients += 1
        self.seconds += time.perf_counter() - began

    @property
    def each(self) -> float:
        """Seconds a client, on the average; 0 before there was one."""
        return self.seconds / max(self.clients, 1)
