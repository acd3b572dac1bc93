"""What a member of a graph has done so far."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from aeros_core.roles.inferencer import Count

__all__ = ["MemberStatistics"]


@dataclass(slots=True)
class MemberStatistics:
    """Counts the requests to one member, from several threads.

    Args:
        requests: How many were made.
        failures: Of these, how many were not answered.
        rows: Rows that were answered.
        seconds: How long all requests took.
    """

    requests: int = 0
    failures: int = 0
    rows: int = 0
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, seconds: float, rows: int | None) -> None:
        """Count a request, with the rows that were answered; None: it failed."""
        with self._lock:
            self.requests += 1
            self.failures += rows is None
            self.rows += rows or 0
            self.seconds += seconds

    def counts(self, member: str) -> Iterator[Count]:
        """Yield the counts of the member that is called so."""
        labels = {"member": member}
        yield Count("aeros_member_requests_total", "Requests to a member", self.requests, labels)
        yield Count("aeros_member_errors_total", "Of these, without answer", self.failures, labels)
        yield Count("aeros_member_rows_total", "Rows a member has answered", self.rows, labels)
        yield Count("aeros_member_seconds_total", "Seconds they took", self.seconds, labels)
