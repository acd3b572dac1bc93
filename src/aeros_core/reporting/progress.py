"""Live progress: one moving line on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from aeros_core.hookspecs import hookimpl
from aeros_core.records import Run
from aeros_core.reporting.tables import main
from aeros_core.reporting.text import counted
from aeros_core.results import Result, Round
from aeros_core.tasks.round_counters import shown as shown_text
from aeros_core.tasks.task import Task

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Lines", "Live", "progress"]


def progress(stream: TextIO | None = None) -> Lines | Live:
    """Return the listener that suits a stream (default: standard output)."""
    out = stream or sys.stdout
    return Live() if out.isatty() else Lines(out)


class _Pace:
    """Updates a second and time left, over this sitting."""

    def __init__(self, rounds: int, done: int) -> None:
        self._began = time.monotonic()
        self._left = rounds - done
        self._updates = 0
        self._rounds = 0

    def add(self, round: Round) -> tuple[float, float]:
        """Return updates a second and seconds left after this round."""
        self._rounds += 1
        self._updates += len(round.nodes)
        elapsed = max(time.monotonic() - self._began, 1e-9)
        return self._updates / elapsed, elapsed / self._rounds * (self._left - self._rounds)


class Lines:
    """One line a round, and one for each refused update's reason."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    @hookimpl
    def aeros_before_task(self, task: Task, run: Run, history: Sequence[Round]) -> None:
        """Say which run this is, and where it goes on."""
        where = f", goes on after round {history[-1].number}" if history else ""
        self._say(f"task {task.name}, run {run.id}{where}")
        self._pace = _Pace(task.rounds, len(history))

    @hookimpl
    def aeros_after_round(self, task: Task, round: Round) -> None:
        """Say what the round did."""
        rate, left = self._pace.add(round)
        told = "  ".join(f"{name} {value:.4f}" for name, value in shown(round).items())
        if task.infers:
            self._say(f"{answered(round)}  {told}")
        else:
            self._say(
                f"round {round.number}/{task.rounds}  {told}"
                f"  {rate:.0f} updates/s  eta {_clock(left)}"
            )
        for reason, nodes in _reasons(round).items():
            self._say(f"  refused {len(nodes)} ({reason}): {', '.join(nodes[:5])}")
        for told in _capped(task, round):
            self._say(f"  {told}")

    @hookimpl
    def aeros_after_task(self, task: Task, result: Result) -> None:
        """Say how the task ended."""
        self._say(conclusion(task, result))

    def _say(self, text: str) -> None:
        with suppress(BrokenPipeError):  # `aeros run | head`: nobody listens, the task goes on
            print(text, file=self._out, flush=True)


class Live:
    """A progress bar with the latest figures."""

    @hookimpl
    def aeros_before_task(self, task: Task, history: Sequence[Round]) -> None:
        """Show the bar."""
        self._pace = _Pace(task.rounds, len(history))
        self._bar, self._row = _bar(task, len(history))
        self._bar.start()

    @hookimpl
    def aeros_after_round(self, task: Task, round: Round) -> None:
        """Move the bar on, and report refused updates and capped weights."""
        rate, left = self._pace.add(round)
        told = "  ".join(f"{name} {value:.4f}" for name, value in shown(round).items())
        self._bar.update(
            self._row, advance=1, figures=told, rate=f"{rate:.0f} updates/s", eta=_clock(left)
        )
        for reason, nodes in _reasons(round).items():
            self._bar.console.print(
                f"round {round.number}: refused {len(nodes)} ({reason}): {', '.join(nodes[:5])}"
            )
        for told in _capped(task, round):
            self._bar.console.print(f"round {round.number}: {told}")

    @hookimpl
    def aeros_after_task(self, task: Task, result: Result) -> None:
        """Leave the bar where it is, and say how the task ended."""
        self._bar.stop()
        self._bar.console.print(conclusion(task, result), highlight=False)


def _bar(task: Task, done: int) -> tuple[Progress, TaskID]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TextColumn("[dim]{task.fields[rate]}  eta {task.fields[eta]}"),
    )
    row = bar.add_task(
        task.name,
        total=1 if task.infers else task.rounds,
        completed=done,
        figures="",
        rate="",
        eta="-:--:--",
    )
    return bar, row


def shown(round: Round) -> Mapping[str, float]:
    """Return the figures of a round worth a person's glance: loss first, no class by itself."""
    found = main(round.watched or round.training)
    return {k: found[k] for k in sorted(found, key=lambda name: name != "loss")}


def answered(round: Round) -> str:
    """Return in words how many nodes answered about how many rows."""
    rows = int(sum(figures["examples"] for figures in round.nodes.values()))
    return f"{counted(len(round.nodes), 'node')} answered {rows:,} rows"


def conclusion(task: Task, result: Result) -> str:
    """Return in words how a task ended."""
    told = ", ".join(f"{k} {value:.4f}" for k, value in main(result.metrics).items())
    after = "" if task.infers else f" after {counted(result.rounds, 'round')}"
    text = f"{result.task}: {result.status}{after}, {result.seconds:.1f} s"
    text += f"; {told}" if told else ""
    if result.model:
        named = f"model {result.model['name']} version {result.model['version']}"
        text += f"\n{named} answered" if task.infers else f"\n{named} is stored"
    return text


def _reasons(round: Round) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for node, reason in round.refused.items():
        reasons.setdefault(reason, []).append(shown_text(node))
    return reasons


def _capped(task: Task, round: Round) -> list[str]:
    """Return one line for each node whose weight was held within ``task.max_share``."""
    lines = []
    for node, counted_for in round.capped.items():
        told = [f"{what} for {count} examples" for what, count in counted_for.items()]
        has = round.nodes.get(node, {}).get("examples")
        of = "" if has is None else f", of {has:.0f} that it reports"
        lines.append(
            f"capped by task.max_share={task.max_share:g}: {shown_text(node)} counts in"
            f" {', in '.join(told)}{of}"
        )
    return lines


def _clock(seconds: float) -> str:
    whole = max(int(seconds + 0.5), 0)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
