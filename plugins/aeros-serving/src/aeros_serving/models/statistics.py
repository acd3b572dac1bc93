"""What a served version has done: counts, durations, histograms, and its inputs' drift."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from aeros_core.data import Batch
from aeros_core.schema import Field

__all__ = ["BOUNDS", "ROWS", "Drift", "Duration", "Histogram", "Statistics"]

BOUNDS = tuple(round(float(base) * 10**power, 9) for power in range(-5, 2) for base in (1, 2.5, 5))
"""Upper bounds of the histograms of durations, in seconds: 10 µs to 50 s."""

ROWS = tuple(float(2**power) for power in range(13))
"""Upper bounds of the histogram of batch sizes."""

SIZES = 1024
"""Sizes of batches that are counted apart; a client may send any."""

LOOK = 4096
"""Values of a field that are looked at in each batch, for drift."""

FARTHEST = 1e100
"""Magnitude beyond which values count as this much: squares of what is left do not overflow."""


@dataclass(slots=True)
class Duration:
    """How often something was done, and how long that took together."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float, times: int = 1) -> None:
        """Count it once more, or so many times at once."""
        self.count += times
        self.ns += int(seconds * 1e9)


@dataclass(slots=True)
class Histogram:
    """Counts by upper bound, the last without any, as Prometheus keeps them."""

    bounds: tuple[float, ...] = BOUNDS
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        """Begin with zeros."""
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count a value in the bucket it belongs to."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass(slots=True)
class Drift:
    """How a numeric input has been, beside what it was in training.

    Args:
        field: What the schema of the training data says.
        values: Number of finite values looked at.
        outside: Of these, beyond the range of the training data.
        mean: Their mean.
        spread: Sum of squared differences to it (Welford).
    """

    field: Field
    values: int = 0
    outside: int = 0
    mean: float = 0.0
    spread: float = 0.0

    def add(self, batch: Batch) -> None:
        """Look at some of a batch's values."""
        seen = batch[self.field.name].reshape(-1)[:LOOK].astype(np.float64)
        seen = seen[np.isfinite(seen)]
        if not len(seen):
            return
        if self.field.range is not None:
            low, high = self.field.range
            self.outside += int(((seen < low) | (seen > high)).sum())
        seen = np.clip(seen, -FARTHEST, FARTHEST)
        mean, count = float(seen.mean()), self.values + len(seen)
        change = mean - self.mean
        self.spread += float(((seen - mean) ** 2).sum())
        self.spread += change * change * self.values * len(seen) / count
        self.mean += change * len(seen) / count
        self.values = count

    @property
    def deviation(self) -> float:
        """Standard deviation of the values."""
        return float((self.spread / self.values) ** 0.5) if self.values else 0.0


@dataclass(slots=True)
class Statistics:
    """What the protocol's statistics extension and Prometheus tell of a version."""

    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)
    explained: Duration = field(default_factory=Duration)
    rows: int = 0
    executions: int = 0
    last: int = 0
    batches: dict[int, tuple[Duration, Duration, Duration]] = field(default_factory=dict)
    histograms: Mapping[str, Histogram] = field(
        default_factory=lambda: {
            "queue": Histogram(),
            "batch": Histogram(),
            "compute": Histogram(),
            "total": Histogram(),
        }
    )
    sizes: Histogram = field(default_factory=lambda: Histogram(ROWS))
    errors: dict[str, int] = field(default_factory=dict)
    drift: tuple[Drift, ...] = ()

    def executed(self, rows: int, requests: int, seconds: tuple[float, float, float]) -> None:
        """Count a batch: its rows, its requests, seconds of gathering, computing, cutting."""
        self.rows += rows
        self.executions += 1
        self.sizes.add(rows)
        of_size = self.batches.get(rows)
        if of_size is None:
            of_size = (Duration(), Duration(), Duration())
            if len(self.batches) < SIZES:
                self.batches[rows] = of_size
        totals = (self.compute_input, self.compute_infer, self.compute_output)
        for total, one, took in zip(totals, of_size, seconds, strict=True):
            total.add(took * requests, requests)
            one.add(took)
        self.histograms["batch"].add(seconds[0] + seconds[2])
        self.histograms["compute"].add(seconds[1])

    def answered(self, waited: float, total: float) -> None:
        """Count an answered request: seconds in the queue, seconds in all."""
        self.success.add(total)
        self.queue.add(waited)
        self.histograms["queue"].add(waited)
        self.histograms["total"].add(total)

    def failed(self, kind: str, total: float) -> None:
        """Count a request that could not be answered, by the kind of failure."""
        self.fail.add(total)
        self.errors[kind] = self.errors.get(kind, 0) + 1
