"""The queue before one served version: dynamic batches, deadlines, bounds.

While one batch is computed, requests gather for the next. A version whose inferencer
`SupportsConcurrency` has several under way.

Everything here but the computing happens in the event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

from aeros_core.data import Batch
from aeros_serving.config import Where
from aeros_serving.models.background import bring
from aeros_serving.models.batching import Batching
from aeros_serving.models.explainer import Explainer
from aeros_serving.models.job import Job
from aeros_serving.models.version import LoadedVersion
from aeros_serving.protocol.errors import Expired, Overloaded, Refused, Unavailable, refusal

__all__ = ["INLINE", "RequestQueue"]

_log = logging.getLogger(__name__)

INLINE = 0.0005
"""Seconds for a row, below which a model is not worth a thread of its own."""

SLOW = 0.01
"""Seconds of a batch, in which nobody else is answered where it is computed inline."""

AGAIN = 60.0
"""Seconds within which a second batch that is slow takes a model to a thread of its own."""

STAGGER = 0.005
"""Seconds at least between two batches of a version that has several under way, unless one is
full: behind a fast link the first is back by then, and requests go together as without it."""

_Seconds: TypeAlias = tuple[float, float, float]
_Done: TypeAlias = tuple[Batch | Refused, int, int, _Seconds]
"""An answer; the requests and rows of the batch it came in, 0 after the first of it."""
_Computed: TypeAlias = Future[tuple[list[_Done], float]]
"""The answers of a batch, and the processor time that its thread took, in seconds."""


class RequestQueue:
    """Brings requests to a served version, batch by batch.

    Args:
        served: The version.
        batching: How requests become batches.
        where: Whether it computes in a thread of its own.
        loop: The event loop.
    """

    def __init__(
        self,
        served: LoadedVersion,
        batching: Batching,
        where: Where,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.served = served
        self.batching = batching
        self._loop = loop
        self._waiting: deque[Job] = deque()
        self._computed: dict[_Computed, Sequence[Job]] = {}
        self._concurrency = served.service.concurrency
        self._one_row = served.service.fixed_rows == 1  # to ask a Protocol takes 10 µs
        self._sent, self._stagger = -math.inf, STAGGER
        self._rows = 0
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None
        self._soon = False
        self._idle = asyncio.Event()
        self._idle.set()
        slow = served.asks or served.seconds >= INLINE
        own = where is Where.thread or (where is Where.auto and slow)
        self._thread = self._own_thread() if own else None
        self._auto, self._slow = where is Where.auto, -math.inf
        self._enough = batching.preferred[0] if batching.preferred else batching.max_batch
        self._free = served.contract.free
        self._explainer = Explainer(served, loop)

    @property
    def single(self) -> bool:
        """Whether each request goes through the model by itself."""
        return self._one_row or self.served.alone or self.batching.single(self.served.dependent)

    @property
    def waiting(self) -> int:
        """Number of requests that wait."""
        return len(self._waiting)

    @property
    def computing(self) -> bool:
        """Whether a thread computes for this version."""
        return bool(self._computed) or self._explainer.computing

    def submit(self, job: Job) -> None:
        """Let a request wait for its batch, or one for an explanation for its turn.

        Raises:
            Overloaded: Too many wait already.
            Malformed: An explanation would take too long.
            Unavailable: The version is being taken down.
        """
        if self._closing:
            raise Unavailable(f"model '{self.served.name}' is being unloaded")
        if job.how is not None:
            self._explainer.submit(job, job.how)
            return
        if len(self._waiting) >= self.batching.max_queue:
            told = f"{len(self._waiting)} requests wait for model '{self.served.name}' already"
            self.served.statistics.failed("Overloaded", 0.0)
            raise Overloaded(told)
        job.entered = time.monotonic()
        if self.batching.deadline:
            job.deadline = min(job.deadline, job.entered + self.batching.deadline)
        self._waiting.append(job)
        self._rows += job.rows
        self._idle.clear()
        self._arrange()

    async def drain(self) -> None:
        """Take no more requests, and return once all that wait are answered."""
        self._closing = True
        self._arrange()  # those that wait for company go now
        await asyncio.gather(self._idle.wait(), self._explainer.drain())
        if self._thread is not None:
            self._thread.shutdown(wait=False)

    def give_up(self) -> int:
        """Tell those that wait or are computed that the server has ended; return how many."""
        self._closing = True
        jobs = [*(job for batch in self._computed.values() for job in batch), *self._waiting]
        self._waiting.clear()
        self._rows = 0
        given = sum(job.give_up() for job in jobs)
        for _ in range(given):
            self.served.statistics.failed("Unavailable", 0.0)
        given += self._explainer.give_up()
        self._idle.set()
        return given

    def _arrange(self) -> None:
        """Decide when the next batch goes; called whenever something has changed."""
        if not self._waiting:
            if not self._computed:
                self._idle.set()
            return
        if len(self._computed) >= self._concurrency:
            return
        left = self._due() - time.monotonic()
        if left > 0 and not self._full():
            if self._timer is None and not self._soon:
                self._timer = self._loop.call_later(left, self._dispatch)
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._soon:  # whatever else arrives in this turn of the loop goes with it
            self._soon = True
            self._loop.call_soon(self._dispatch)

    def _due(self) -> float:
        """Return when the request that came first has waited long enough for others, monotonic."""
        due = self._waiting[0].entered + self.batching.delay
        return max(due, self._sent + self._stagger) if self._computed else due

    def _full(self) -> bool:
        """Tell whether the next batch gains nothing by waiting for further requests."""
        return self._rows >= self._enough or self.single or self._closing

    def _dispatch(self) -> None:
        self._timer, self._soon = None, False
        jobs = self._take()
        if not jobs:
            self._arrange()
        elif self._thread is None:
            started = time.monotonic()
            self._tell(jobs, self._work([job.batch for job in jobs]))
            if self._auto and (now := time.monotonic()) - started > SLOW:
                self._held_up(now, now - started)
            self._arrange()
        else:
            future = self._thread.submit(self._timed, [job.batch for job in jobs])
            self._computed[future], self._sent = jobs, time.monotonic()
            future.add_done_callback(lambda done: bring(self._loop, self._back, done))
            self._arrange()  # the next may go while this one is under way

    def _own_thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._concurrency, f"lane-{self.served.name}")

    def _held_up(self, now: float, seconds: float) -> None:
        """Compute in a thread from now on if this happens again and again, and is no accident."""
        if now - self._slow < AGAIN and not self._closing:
            self._thread = self._own_thread()
            told = (
                "model '%s' version %d: batches take long (%.3g s), and compute in a thread of"
                " their own from now on; serving.where=thread has them do so from the start"
            )
            _log.info(told, self.served.name, self.served.version, seconds)
        self._slow = now

    def _back(self, done: _Computed) -> None:
        results, busy = done.result()
        # Where a batch keeps the processor busy, as one that passes a local member does, more of
        # them at once are smaller and no sooner there: they follow no faster than it computes.
        self._stagger = max(STAGGER, busy)
        self._tell(self._computed.pop(done), results)
        self._arrange()

    def _take(self) -> list[Job]:
        """Return the requests of the next batch; those that nobody waits for are dropped."""
        limit, rows, taken = self._limit(), 0, list[Job]()
        now, kind, single = time.monotonic(), None, self.single
        while self._waiting:
            job = self._waiting[0]
            if job.cancelled or now > job.deadline:
                self._drop(self._waiting.popleft(), now)
                continue
            own = _kind(job.batch) if self._free else None
            if taken and (single or rows + job.rows > limit or own != kind):
                break
            kind, rows = own, rows + job.rows
            taken.append(self._waiting.popleft())
            self._rows -= job.rows
        return taken

    def _limit(self) -> int:
        """Return the largest size that can be filled and is preferred, or the largest at all."""
        fitting = [size for size in self.batching.preferred if size <= self._rows]
        return fitting[-1] if fitting else self.batching.max_batch

    def _drop(self, job: Job, now: float) -> None:
        self._rows -= job.rows
        if job.cancelled:
            self.served.statistics.failed("Cancelled", now - job.entered)
            return
        waited = now - job.entered
        self.served.statistics.failed("Expired", waited)
        job.done(Expired(f"the request waited {waited:.3f} s and was past its deadline"))

    def _timed(self, batches: Sequence[Batch]) -> tuple[list[_Done], float]:
        started = time.thread_time()
        return self._work(batches), time.thread_time() - started

    def _work(self, batches: Sequence[Batch]) -> list[_Done]:
        """Answer batches as one; if that fails, each alone, so that only the guilty one fails.

        Where a server that the model asks does not answer, none is guilty.
        """
        try:
            answers, seconds = self.served.answer(batches)
        except BaseException as error:
            refused = refusal(error)
        else:
            return self._whole(batches, answers, seconds)
        # Only here is what the attempt held free again: the error had its frames.
        if len(batches) > 1 and not isinstance(refused, Unavailable):
            return [done for batch in batches for done in self._work([batch])]
        return [(refused, 0, 0, (0.0, 0.0, 0.0))] * len(batches)

    def _whole(
        self, batches: Sequence[Batch], answers: Sequence[Batch], seconds: _Seconds
    ) -> list[_Done]:
        rows = sum(len(next(iter(batch.values()))) for batch in batches)
        first = (answers[0], len(batches), rows, seconds)
        return [first, *((answer, 0, 0, seconds) for answer in answers[1:])]

    def _tell(self, jobs: Sequence[Job], results: Sequence[_Done]) -> None:
        now, statistics = time.monotonic(), self.served.statistics
        statistics.last = int(time.time() * 1000)
        for job, (answer, requests, rows, seconds) in zip(jobs, results, strict=True):
            total = now - job.entered
            if requests:
                statistics.executed(rows, requests, seconds)
            if job.over:  # it was given up, and is counted as that
                continue
            if isinstance(answer, Refused):
                statistics.failed(type(answer).__name__, total)
            else:
                statistics.answered(max(0.0, total - sum(seconds)), total)
            job.tell(answer)


def _kind(batch: Batch) -> object:
    return [(name, column.shape[1:], column.dtype) for name, column in batch.items()]
