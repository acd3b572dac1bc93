"""Explanations of one served version, one after the other, beside its batches."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future, ThreadPoolExecutor

from aeros_core.data import Batch
from aeros_serving.models.background import bring, yield_priority
from aeros_serving.models.job import Job
from aeros_serving.models.version import Explain, LoadedVersion
from aeros_serving.protocol.errors import Expired, Malformed, Overloaded, Refused, refusal

__all__ = ["GRADIENTS", "WAITING", "Explainer"]

WAITING = 16
"""Requests for explanations of one version, waiting or computed."""

GRADIENTS = 100_000
"""Rows times steps of one request."""


class Explainer:
    """Explains in a thread of its own, so that nobody who wants an answer waits for it.

    Args:
        served: The version.
        loop: The event loop.
    """

    def __init__(self, served: LoadedVersion, loop: asyncio.AbstractEventLoop) -> None:
        self._served, self._loop = served, loop
        self._jobs: set[Job] = set()
        self._thread: ThreadPoolExecutor | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def computing(self) -> bool:
        """Whether the thread has requests."""
        return bool(self._jobs)

    def submit(self, job: Job, how: Explain) -> None:
        """Let a request wait for its turn.

        Raises:
            Overloaded: Too many wait already.
            Malformed: It would take too long.
        """
        if job.rows * how.steps > GRADIENTS:
            told = f"{job.rows} rows times {how.steps} steps are {job.rows * how.steps} gradients"
            self._served.statistics.failed("Malformed", 0.0)
            raise Malformed(f"{told}, and {GRADIENTS} are taken at once; explain fewer rows")
        if len(self._jobs) >= WAITING:
            told = f"{len(self._jobs)} explanations of model '{self._served.name}' wait already"
            self._served.statistics.failed("Overloaded", 0.0)
            raise Overloaded(told)
        if self._thread is None:
            name = f"explain-{self._served.name}"
            self._thread = ThreadPoolExecutor(1, name, initializer=yield_priority)
        job.entered = time.monotonic()
        self._jobs.add(job)
        self._idle.clear()
        future = self._thread.submit(self._work, job, how)
        future.add_done_callback(lambda done: bring(self._loop, self._back, job, done))

    async def drain(self) -> None:
        """Return once all that wait are answered."""
        await self._idle.wait()
        if self._thread is not None:
            self._thread.shutdown(wait=False)

    def give_up(self) -> int:
        """Tell those that wait or are computed that the server has ended; return how many."""
        given = sum(job.give_up() for job in self._jobs)
        for _ in range(given):
            self._served.statistics.failed("Unavailable", 0.0)
        self._idle.set()
        return given

    def _work(self, job: Job, how: Explain) -> tuple[Batch | Refused, float]:
        """Return the explanation, or why there is none, and the seconds it took."""
        started = time.monotonic()
        if job.cancelled or job.over or started > job.deadline:
            waited = started - job.entered
            late = f"the request waited {waited:.3f} s and was past its deadline"
            return Expired(late), 0.0
        try:
            return self._served.explain(job.batch, how), time.monotonic() - started
        except BaseException as error:
            return refusal(error), 0.0

    def _back(self, job: Job, done: Future[tuple[Batch | Refused, float]]) -> None:
        self._jobs.discard(job)
        if not self._jobs:
            self._idle.set()
        (answer, seconds), statistics = done.result(), self._served.statistics
        if job.over:
            return
        if job.cancelled:
            statistics.failed("Cancelled", time.monotonic() - job.entered)
            return
        if isinstance(answer, Refused):
            statistics.failed(type(answer).__name__, time.monotonic() - job.entered)
        else:
            statistics.explained.add(seconds)
        job.tell(answer)
