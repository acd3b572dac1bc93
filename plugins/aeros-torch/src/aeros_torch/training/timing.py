"""What training has taken so far, and what more of it is likely to take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["ClientTiming"]

_GUESS = 1e-4
"""Seconds an example, before anything was measured: then only the order counts."""

_REMEMBERED = 2**16
"""Clients whose own time is known, those trained last."""


@dataclass(slots=True)
class ClientTiming:
    """Clients that were trained, and the time of it.

    Args:
        clients: How many.
        examples: That they have, in all.
        seconds: Of training, in all.
    """

    clients: int = 0
    examples: int = 0
    seconds: float = 0.0
    _own: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def client(self, node: str, examples: int) -> Iterator[None]:
        """Count a client, and the time that is spent within."""
        began = time.perf_counter()
        yield
        self.note(node, examples, time.perf_counter() - began)

    def note(self, node: str, examples: int, seconds: float) -> None:
        """Count a client that took so long, wherever it was trained."""
        self.clients += 1
        self.examples += examples
        self.seconds += seconds
        before = self._own.pop(node, seconds)
        self._own[node] = (before + seconds) / 2  # machines are noisy: no single time counts alone
        if len(self._own) > _REMEMBERED:
            del self._own[next(iter(self._own))]

    @property
    def each(self) -> float:
        """Seconds a client, on the average; 0 before there was one."""
        return self.seconds / max(self.clients, 1)

    def expected(self, node: str, examples: int) -> float:
        """Return the seconds that a client took, or that one of so many examples would take."""
        if (own := self._own.get(node)) is not None:
            return own
        return examples * (self.seconds / self.examples if self.examples else _GUESS)
