"""What benchmark programs print: a table of subjects that take turns, and goals."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

REST = 0.05
"""Seconds before each call in which others' threads, which spin after their work, fall asleep."""

PATIENCE = 5_000.0
"""Milliseconds after which a subject takes no more turns."""

Call = Callable[[], object]
Row = dict[str, Any]


def _nothing() -> None:
    pass


@dataclass
class Subject:
    """One way to do a piece of work: a timed call, with untimed work before it."""

    name: str
    call: Call
    before: Call = _nothing


class Goal(NamedTuple):
    """A subject is to be so many times as fast as the fastest of its peers, or the slowest."""

    subject: str
    least: float
    peers: tuple[str, ...]
    slowest: bool = False


@dataclass
class Work:
    """Subjects of one piece of work; ratios are to the first.

    ``nbytes`` are what has to pass through memory, 0 where no one asks.
    """

    name: str
    subjects: Sequence[Subject]
    nbytes: int = 0
    goals: Sequence[Goal] = ()

    @classmethod
    def of(
        cls, name: str, calls: Mapping[str, Call], nbytes: int = 0, goals: Sequence[Goal] = ()
    ) -> Work:
        return cls(name, [Subject(key, call) for key, call in calls.items()], nbytes, goals)


def heading(packages: Iterable[str]) -> None:
    told = ", ".join(f"{k} {v}" for k, v in versions(packages).items())
    print(f"{machine()}\n{told}\n")
    print(f"{'work':24} {'subject':30} {'median ms':>10} {'ratio':>6} {'GB/s':>6}")


def run(work: Work, repeats: int) -> list[Row]:
    """Measure a work, print its rows, and how far its goals are reached."""
    rows = measure(work, repeats)
    for row in rows:
        print("{work:24} {subject:30} {median_ms:10.2f} {ratio:6.2f}".format(**row), end="")
        print(f" {row['gb_per_s']:6.1f}" if work.nbytes else "", flush=True)
    return rows + [_reached(work, goal, rows) for goal in work.goals]


def measure(work: Work, repeats: int) -> list[Row]:
    times: dict[str, list[float]] = {subject.name: [] for subject in work.subjects}
    for turn in range(repeats + 1):
        for subject in work.subjects:
            if sum(times[subject.name]) > PATIENCE:
                continue
            subject.before()
            rest = time.perf_counter() + REST
            while time.perf_counter() < rest:
                pass
            start = time.perf_counter()
            subject.call()
            if turn:  # the first turn warms up
                times[subject.name].append((time.perf_counter() - start) * 1e3)
    medians = {name: statistics.median(all_) for name, all_ in times.items()}
    first = next(iter(medians.values()))
    return [
        {
            "work": work.name,
            "subject": name,
            "median_ms": ms,
            "ratio": first / ms,
            "gb_per_s": work.nbytes / ms / 1e6,
        }
        for name, ms in medians.items()
    ]


def _reached(work: Work, goal: Goal, rows: Sequence[Row]) -> Row:
    """Print a goal with what was reached of it."""
    ms = {row["subject"]: row["median_ms"] for row in rows}
    there = sorted((name for name in goal.peers if name in ms), key=lambda name: ms[name])
    peer = there[-1 if goal.slowest else 0]
    ratio = ms[peer] / ms[goal.subject]
    told = f"{ratio:.2f} times {peer}, asked {goal.least:g}"
    print(
        f"{work.name:24} {goal.subject:30} {'' if ratio >= goal.least else 'NOT '}reached: {told}"
    )
    return {
        "work": work.name,
        "goal": goal.subject,
        "peer": peer,
        "ratio": ratio,
        "asked": goal.least,
    }


def write(path: str | None, rows: Sequence[Row], packages: Iterable[str]) -> None:
    if path:
        document = {"machine": machine(), "versions": versions(packages), "rows": list(rows)}
        Path(path).write_text(json.dumps(document, indent=1))


def machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform(terse=True)}"


def versions(packages: Iterable[str]) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
