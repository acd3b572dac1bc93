"""Request statistics of a member of a graph."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from aeros_core.roles.inferencer import Count

__all__ = ["MemberStatistics"]


@dataclass(slots=True)
class MemberStatistics:
    """Thread-safe counters of the requests to one member.

    Args:
        requests: Number of requests.
        failures: Number of failed requests.
        rows: Number of predicted rows.
        seconds: Total duration of all requests in seconds.
    """

    requests: int = 0
    failures: int = 0
    rows: int = 0
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, seconds: float, rows: int | None) -> None:
        """Count a request and its predicted rows; ``rows=None`` marks a failure."""
        with self._lock:
            self.requests += 1
            self.failures += rows is None
            self.rows += rows or 0
            self.seconds += seconds

    def counts(self, member: str) -> Iterator[Count]:
        """Yield the counters, labelled with the member's name."""
        labels = {"member": member}
        yield Count("aeros_member_requests_total", "Requests to a member", self.requests, labels)
        yield Count("aeros_member_errors_total", "Of these, without answer", self.failures, labels)
        yield Count("aeros_member_rows_total", "Rows a member has answered", self.rows, labels)
        yield Count("aeros_member_seconds_total", "Seconds they took", self.seconds, labels)
