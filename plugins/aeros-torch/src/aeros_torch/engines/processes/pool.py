"""Worker processes that share a model's clients among them."""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import selectors
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aeros_core.tasks import waiting
from aeros_torch.engines.processes.job import Job
from aeros_torch.engines.processes.parameter_slots import SharedParameters
from aeros_torch.engines.processes.worker_handle import Table, WorkerHandle
from aeros_torch.training.context import TrainingContext

__all__ = ["WorkerPool"]

_log = logging.getLogger(__name__)

_STILL = 300.0
"""Seconds without any use of a processor after which a process that has work is given up."""

_NAMED = 5
"""Clients that a line names, at most."""

_PATIENCE = 1.0
"""Seconds that a process has to end once its connection is closed."""


class WorkerPool:
    """Gives jobs to processes, those that cost most time first, and takes them back.

    Processes are started once and kept; one that dies is replaced, and what it had is
    trained again. They end with the crew, or with this process.

    Args:
        context: What each of them is to build.
        told: The same as plain data.
        devices: Where each of them computes.
    """

    def __init__(self, context: TrainingContext, told: Mapping[str, Any], devices: Sequence[str]):
        self._shop, self._told, self._devices = context, told, devices
        self._hands: dict[int, WorkerHandle] = {}
        self._waiting: list[tuple[float, int, Job]] = []
        self._tickets = itertools.count()
        self._table: Table | None = None
        self._events = selectors.DefaultSelector()
        self.places = len(devices)
        self.broken, self.began = "", False
        self._minute = waiting.Reminder(_log.warning)
        weakref.finalize(self, _end, self._hands)

    places: int
    """Processes that there can be."""

    broken: str
    """Why no process can be started here; "" while they can."""

    began: bool
    """Whether a process has been ready once."""

    @property
    def processes(self) -> list[int]:
        """Ids of the processes that there are."""
        return [hand.process.pid for hand in self._hands.values()]

    @property
    def ready(self) -> int:
        """Number of processes that have built their model."""
        return sum(hand.ready for hand in self._hands.values())

    def start(self, count: int) -> None:
        """Have so many processes, as far as there are places; waits for none of them."""
        for place in range(min(count, len(self._devices))):
            if place not in self._hands and not self.broken:
                self._start(place)

    def _start(self, place: int) -> None:
        bench = SharedParameters(self._shop.network.layout, len(self._shop.network.weights))
        told = {**self._told, "device": self._devices[place]}
        try:
            hand = WorkerHandle.start(told, bench, self._shop.recipe.threads)
        except OSError as error:
            self.broken = f"no process could be started: {error}"
            return
        self._hands[place] = hand
        self._events.register(hand.wire, selectors.EVENT_READ, place)

    def give(self, job: Job) -> None:
        """Have a job done, when there is somebody to do it."""
        cost = self._shop.pace.expected(job.instruction.node, len(job.data))
        heapq.heappush(self._waiting, (-cost, next(self._tickets), job))

    def drop(self, jobs: Iterable[Job]) -> None:
        """Forget jobs; those in training are trained to their end for nobody."""
        for job in jobs:
            job.dropped = True
        self._waiting = [entry for entry in self._waiting if not entry[2].dropped]
        heapq.heapify(self._waiting)

    def work(self, timeout: float | None = None) -> None:
        """Hand out what can be handed out, and take back what comes next.

        Args:
            timeout: Seconds to wait for it; None: as long as it takes.
        """
        self._hand_out()
        ends = math.inf if timeout is None else time.monotonic() + timeout
        while not self._look(ends - time.monotonic()) and time.monotonic() < ends:
            waiting.check()
            self._minute.say(self._awaited())
        self._hand_out()

    def _look(self, seconds: float) -> bool:
        """Wait for a moment, at most; return whether something has come, or came to its end."""
        left = min((hand.left for hand in self._hands.values()), default=math.inf)
        found = self._events.select(max(min(left, seconds, waiting.TICK), 0.0))
        for key, _ in found:
            hand = self._hands.get(key.data)
            if hand is not None and hand.wire is key.fileobj:
                self._take(key.data, hand)
        late = [place for place, hand in self._hands.items() if hand.left <= 0]
        for place in late:
            self._stop_late(place)
        still = [place for place, hand in self._hands.items() if hand.still > _STILL]
        for place in still:  # it was stopped, or waits for something that does not come
            _log.warning("process %d did nothing for %g s", self._hands[place].process.pid, _STILL)
            self._hands[place].process.kill()
            self._bury(place)
        if found or late or still:
            self._minute.restart()
        return bool(found or late or still) or not self._hands

    def _awaited(self) -> str:
        """Return in words what is waited for."""
        had = [
            f"{job.instruction.node} (process {hand.process.pid})"
            for hand in self._hands.values()
            for job in [*hand.jobs.values()][:1]
        ]
        more = f" and {len(had) - _NAMED} more" if len(had) > _NAMED else ""
        return f"waits for the training of {', '.join(had[:_NAMED]) or 'no client'}{more}"

    def _hand_out(self) -> None:
        while self._waiting:
            # The last jobs wait for whoever is free first, not behind another one.
            most = 2 if len(self._waiting) > len(self._hands) else 1
            free = [p for p, h in self._hands.items() if h.ready and len(h.jobs) < most]
            if not free:
                return
            place = min(free, key=lambda p: len(self._hands[p].jobs))
            self._send(place, heapq.heappop(self._waiting))

    def _send(self, place: int, entry: tuple[float, int, Job]) -> None:
        _, ticket, job = entry
        if self._table is None or not self._table.holds(job.data):
            self._table = Table(job.data)
        try:
            self._hands[place].give(ticket, job, self._table)
        except OSError:
            self.give(job)
            self._bury(place)

    def _take(self, place: int, hand: WorkerHandle) -> None:
        try:
            job = hand.take()
        except ChildProcessError as error:
            self.broken = str(error)
            self._bury(place)
        except (EOFError, OSError):
            self._bury(place)
        else:
            self.began = self.began or hand.ready
            if job is not None and job.seconds is not None:
                self._shop.pace.note(job.instruction.node, len(job.data), job.seconds)

    def _stop_late(self, place: int) -> None:
        hand = self._hands[place]
        hand.jobs.pop(next(iter(hand.jobs))).late()
        others, hand.jobs = hand.jobs, {}
        hand.process.kill()
        self._bury(place)
        for job in others.values():
            if not job.dropped:
                self.give(job)

    def _bury(self, place: int) -> None:
        """Share out what a dead process had, and start another one in its place."""
        hand = self._hands.pop(place)
        self._events.unregister(hand.wire)
        how = hand.end(_PATIENCE)
        for number, job in enumerate(hand.jobs.values()):
            if not job.dropped and (number or job.lost(how)):  # the first was in training
                self.give(job)
        if not hand.ready and not self.broken:
            self.broken = f"a process ended before it was ready: {how}"
        self.start(place + 1)

    def stop(self) -> None:
        """End every process; what they were training is lost."""
        for hand in self._hands.values():
            self._events.unregister(hand.wire)
        _end(self._hands)
        self._hands.clear()


def _end(hands: Mapping[int, WorkerHandle]) -> None:
    for hand in hands.values():
        hand.process.kill()
    for hand in hands.values():
        hand.end()
