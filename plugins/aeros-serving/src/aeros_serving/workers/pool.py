"""The workers that serve: what is asked of all of them together."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import asdict
from typing import Any

from aeros_serving.control.process_group import ServerReport
from aeros_serving.control.report import VersionReport, from_json, merged, past
from aeros_serving.models.deployment import Target
from aeros_serving.workers.errors import WorkerGone
from aeros_serving.workers.worker_process import WorkerProcess

__all__ = ["WorkerPool"]

_log = logging.getLogger(__name__)

FRESH = 0.1
"""Seconds for which an answer about readiness holds."""

PATIENCE = 2.0
"""Seconds within which a worker has to say whether it is ready, and what it has done."""


class WorkerPool:
    """The workers that have all models loaded.

    Implements `aeros_serving.control.controller.Processes`.

    Attributes:
        restarts: Workers that took the place of others.
    """

    def __init__(self) -> None:
        self._workers: list[WorkerProcess] = []
        self._reports: dict[WorkerProcess, list[VersionReport]] = {}
        self._past: list[VersionReport] = []
        self._ready = (-FRESH, False)
        self._asking = asyncio.Lock()
        self.restarts = 0

    def __len__(self) -> int:
        """Return the number of workers."""
        return len(self._workers)

    def add(self, worker: WorkerProcess) -> None:
        """Count a worker in; it has all models loaded."""
        self._workers.append(worker)

    def remove(self, worker: WorkerProcess) -> None:
        """Count a worker out that has ended; what it was last known to have done is kept."""
        if worker in self._workers:
            self._workers.remove(worker)
        self._past = merged([*self._past, *map(past, self._reports.pop(worker, []))])

    # ------------------------------------------------------------ changes

    async def prepare(self, target: Target) -> None:
        """Have all workers load what a target needs.

        Raises:
            Exception: What the first that cannot has raised.
            WorkerGone: One has ended over it, or there is none.
        """
        if not self._workers:
            raise WorkerGone
        errors = await self._all("prepare", target=asdict(target))
        for error in sorted(errors.values(), key=lambda each: isinstance(each, WorkerGone)):
            raise error

    async def commit(self, target: Target) -> None:
        """Have all workers serve a target that they have prepared."""
        for worker, error in (await self._all("commit", target=asdict(target))).items():
            if not isinstance(error, WorkerGone):
                _log.error("worker %d is replaced, as it could not swap: %s", worker.number, error)
                worker.kill()
        for reports in (self._past, *self._reports.values()):
            reports[:] = [each for each in reports if not _replaced(each, target)]

    async def discard(self, target: Target) -> None:
        """Have all workers unload what they have prepared."""
        await self._all("discard", target=asdict(target))

    async def drained(self, name: str) -> None:
        """Return once all workers have predicted what waited for a model."""
        await self._all("drained", name=name)

    async def listen(self, ports: dict[str, int]) -> None:
        """Have all workers open the ports.

        Raises:
            Exception: One cannot.
        """
        for error in (await self._all("listen", **ports)).values():
            raise error

    async def _all(self, name: str, /, **arguments: Any) -> dict[WorkerProcess, Exception]:
        """Call all workers; return the errors of those that failed."""
        workers = list(self._workers)
        calls = (worker.call(name, **arguments) for worker in workers)
        found = await asyncio.gather(*calls, return_exceptions=True)
        return {w: e for w, e in zip(workers, found, strict=True) if isinstance(e, Exception)}

    # ------------------------------------------------------------ questions

    async def ready(self) -> bool:
        """Tell whether all workers take requests; known for a tenth of a second."""
        async with self._asking:
            now = time.monotonic()
            if now - self._ready[0] >= FRESH:
                found = await asyncio.gather(*map(self._is_ready, self._workers))
                self._ready = (time.monotonic(), bool(found) and all(found))
            return self._ready[1]

    async def _is_ready(self, worker: WorkerProcess) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                return bool(await worker.call("ready"))
        except WorkerGone:
            return True  # it listens no more, and its replacement not yet
        except TimeoutError:
            return False

    async def report(self, failures: dict[str, int]) -> ServerReport:
        """Return what all workers have done, those included that have ended."""
        await asyncio.gather(*map(self._look, list(self._workers)))
        now = [each for reports in self._reports.values() for each in reports]
        return ServerReport(merged([*self._past, *now]), failures, len(self), self.restarts)

    async def _look(self, worker: WorkerProcess) -> None:
        """Ask a worker for its report; of one that does not answer the last remains."""
        try:
            async with asyncio.timeout(PATIENCE):
                found = await worker.call("report")
        except (WorkerGone, TimeoutError):
            return
        if worker in self._workers:
            self._reports[worker] = [from_json(each) for each in found]


def _replaced(report: VersionReport, target: Target) -> bool:
    """Tell whether a report is about a version that a target has no more."""
    return report.name == target.name and report.version not in target.versions
