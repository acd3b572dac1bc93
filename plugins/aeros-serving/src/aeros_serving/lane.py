"""The queue before one served version: dynamic batches, deadlines, bounds.

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
from aeros_serving.background import bring
from aeros_serving.batching import Batching
from aeros_serving.config import Where
from aeros_serving.explaining import Explainer
from aeros_serving.failures import Expired, Overloaded, Refused, Unavailable, refusal
from aeros_serving.job import Job
from aeros_serving.served import Served

__all__ = ["INLINE", "Lane"]

_log = logging.getLogger(__name__)

INLINE = 0.0005
"""Seconds for a row, below which a model is not worth a thread of its own."""

SLOW = 0.01
"""Seconds of a batch, in which nobody else is answered where it is computed inline."""

AGAIN = 60.0
"""Seconds within which a second batch that is slow takes a model to a thread of its own."""

_Seconds: TypeAlias = tuple[float, float, float]
_Done: TypeAlias = tuple[Batch | Refused, int, int, _Seconds]
"""An answer; the requests and rows of the batch it came in, 0 after the first of it."""


class Lane:
    """Brings requests to a served version, batch by batch.

    Args:
        served: The version.
        batching: How requests become batches.
        where: Whether it computes in a thread of its own.
        loop: The event loop.
    """

    def __init__(
        self, served: Served, batching: Batching, where: Where, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.served = served
        self.batching = batching
        self._loop = loop
        self._waiting: deque[Job] = deque()
        self._computed: Sequence[Job] = ()
        self._rows = 0
        self._busy = False
        self._closing = False
        self._timer: asyncio.Handle | None = None
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
    def waiting(self) -> int:
        """Number of requests that wait."""
        return len(self._waiting)

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
        jobs = [*self._computed, *self._waiting]
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
        if self._busy or not self._waiting:
            if not self._busy:
                self._idle.set()
            return
        left = self._waiting[0].entered + self.batching.delay - time.monotonic()
        if self.batching.delay and left > 0 and self._rows < self._enough and not self._closing:
            if self._timer is None:
                self._timer = self._loop.call_later(left, self._dispatch)
            return
        if isinstance(self._timer, asyncio.TimerHandle):
            self._timer.cancel()
            self._timer = None
        if self._timer is None:  # whatever else arrives in this turn of the loop goes with it
            self._timer = self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._timer = None
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
            self._busy, self._computed = True, jobs
            future = self._thread.submit(self._work, [job.batch for job in jobs])
            future.add_done_callback(lambda done: bring(self._loop, self._back, jobs, done))

    def _own_thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, f"lane-{self.served.name}")

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

    def _back(self, jobs: Sequence[Job], done: Future[list[_Done]]) -> None:
        self._busy, self._computed = False, ()
        self._tell(jobs, done.result())
        self._arrange()

    def _take(self) -> list[Job]:
        """Return the requests of the next batch; those that nobody waits for are dropped."""
        limit, rows, taken = self._limit(), 0, list[Job]()
        now, kind = time.monotonic(), None
        while self._waiting:
            job = self._waiting[0]
            if job.cancelled or now > job.deadline:
                self._drop(self._waiting.popleft(), now)
                continue
            own = _kind(job.batch) if self._free else None
            if taken and (self.served.alone or rows + job.rows > limit or own != kind):
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
