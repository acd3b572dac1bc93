"""The process that starts workers, changes their models together, and replaces those that end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from aeros_core.errors import AerosError, ConfigError
from aeros_serving.control.controller import DeploymentController
from aeros_serving.control.report import to_json
from aeros_serving.protocol.errors import Refused
from aeros_serving.security import Security
from aeros_serving.server import check_options, load_all, port_errors
from aeros_serving.workers.configuration import Configuration
from aeros_serving.workers.errors import WorkerGone
from aeros_serving.workers.pool import WorkerPool
from aeros_serving.workers.restarts import LONGEST, Restarts
from aeros_serving.workers.shared_models import SharedModels
from aeros_serving.workers.shared_port import SharedPort, check_platform
from aeros_serving.workers.worker_process import WorkerProcess, environment

__all__ = ["Supervisor"]

_log = logging.getLogger(__name__)

_LAST = 3.0
"""Seconds beyond ``serving.drain`` after which workers that have not ended are killed."""


class Supervisor:
    """A server in several processes; `start` and `stop` as of `aeros_serving.server.Server`.

    Args:
        configuration: The server, as it is configured; ``serving.workers`` of them.

    Attributes:
        ended: Set once the server ends by itself.
        failure: Why it does.

    Raises:
        ConfigError: The options contradict one another, or a file cannot be read.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.options = options = configuration.options
        check_options(options)
        check_platform(options.workers)
        Security.of(options)
        self.http_port = self.grpc_port = -1
        self.ended = asyncio.Event()
        self.failure: AerosError | None = None
        self._configuration = configuration
        self._pool = WorkerPool()
        repository = configuration.loader().repository
        self._models = SharedModels(repository, self._pool)
        self._controller = DeploymentController(repository, options, self._models)
        self._restarts = Restarts(options.workers)
        self._env = environment(options.workers)
        self._held: dict[str, SharedPort] = {}
        self._processes: set[WorkerProcess] = set()
        self._tasks: list[asyncio.Task[None]] = []

    # ------------------------------------------------------------ start and end

    async def start(self, models: Sequence[str]) -> None:
        """Start the workers, load models, each ``NAME[:version|tag]``, and open the ports.

        Raises:
            AerosError: A worker cannot be started, a model not loaded, or a port not opened.
        """
        try:
            self._hold_ports()
            workers = await self._first()
            try:
                await load_all(self._controller, models, self.options)
            finally:  # a model that ends its process says nothing else
                self._check_all_there()
            await self._open()
        except WorkerGone as gone:
            await self.stop()
            raise ConfigError(
                "a worker process has ended while it was loading models",
                hint="what it has logged says why; perhaps there is no memory for"
                f" serving.workers={self.options.workers}",
            ) from gone
        except BaseException:
            await self.stop()
            raise
        loop = asyncio.get_running_loop()
        self._tasks += [loop.create_task(self._keep(worker)) for worker in workers]
        if self.options.poll:
            self._tasks.append(loop.create_task(self._controller.follow()))

    async def stop(self) -> bool:
        """Have all workers answer what they have, and end.

        Returns:
            Whether no thread of this process reads the repository any more.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self._processes:
            if worker.serving_since is None:  # it has nothing to answer
                worker.kill()
        ending = [asyncio.ensure_future(self._ended(worker)) for worker in self._processes]
        if ending:
            _, late = await asyncio.wait(ending, timeout=self.options.drain + _LAST)
            for worker in self._processes if late else ():
                worker.kill()
            await asyncio.gather(*ending)
        for port in self._held.values():
            port.close()
        self._controller.close()
        self._models.close()
        return not self._controller.reading and not self._models.reading

    async def _ended(self, worker: WorkerProcess) -> None:
        await asyncio.gather(worker.call("stop"), return_exceptions=True)
        await worker.ended()

    @property
    def live_versions(self) -> dict[str, int]:
        """The live version of each model."""
        return {target.name: target.live for target in self._controller.targets}

    @property
    def processes(self) -> list[int]:
        """Numbers of the processes of the workers."""
        return sorted(worker.pid for worker in self._processes)

    # ------------------------------------------------------------ ports

    def _hold_ports(self) -> None:
        options = self.options
        for name in ("http_port", "grpc_port"):
            if (port := getattr(options, name)) >= 0:
                with port_errors(name, options.host, port):
                    self._held[name] = SharedPort(options.host, port)
                setattr(self, name, self._held[name].port)

    async def _open(self) -> None:
        await self._pool.listen(self._ports)
        for worker in self._processes:
            worker.listens()

    @property
    def _ports(self) -> dict[str, int]:
        return {"http_port": self.http_port, "grpc_port": self.grpc_port}

    # ------------------------------------------------------------ workers

    async def _first(self) -> list[WorkerProcess]:
        """Return the workers of the start; they have no models yet."""
        workers = [await self._started(n + 1) for n in range(self.options.workers)]
        configured = (self._configure(worker) for worker in workers)
        errors = await asyncio.gather(*configured, return_exceptions=True)
        # The reason of one that has refused its configuration says more than an end.
        for error in sorted(filter(None, errors), key=lambda each: isinstance(each, WorkerGone)):
            raise error
        for worker in workers:
            self._pool.add(worker)
        return workers

    def _check_all_there(self) -> None:
        if any(worker.gone for worker in self._processes):
            raise WorkerGone

    async def _started(self, number: int) -> WorkerProcess:
        names = "load unload index ready report"
        handlers = {name: getattr(self, name) for name in names.split()}
        handlers["model"] = self._models.model
        worker = await WorkerProcess.start(number, handlers, self._env)
        worker.watch(self.options.worker_timeout)
        self._processes.add(worker)
        return worker

    async def _configure(self, worker: WorkerProcess) -> None:
        data = self._configuration.to_json()
        await worker.call("configure", number=worker.number, configuration=data)

    async def _keep(self, worker: WorkerProcess) -> None:
        """Replace a worker whenever it ends, later each time that this is soon."""
        number = worker.number
        while True:
            how = await worker.ended()
            self._pool.remove(worker)
            self._processes.discard(worker)
            delay = self._restarts.delay(worker.served)
            if self._restarts.hopeless and not len(self._pool):
                self._give_up(how)
                return
            text = "worker %d (process %d) has ended: %s; another takes its place in %g s"
            _log.warning(text, number, worker.pid, how, delay)
            await asyncio.sleep(delay)
            worker = await self._started_again(number)
            await self._take_over(worker)

    async def _started_again(self, number: int) -> WorkerProcess:
        """Return a new worker, once the system has room for a further process."""
        while True:
            try:
                return await self._started(number)
            except OSError as error:
                _log.warning("worker %d cannot be started now: %s", number, error)
                await asyncio.sleep(LONGEST)

    async def _take_over(self, worker: WorkerProcess) -> None:
        """Have a new worker load what the others serve, and listen; one that cannot is ended."""
        for held in self._held.values():
            held.tighten()
        try:
            await self._configure(worker)
            async with self._controller.changing:
                for target in self._controller.targets:
                    await worker.call("prepare", target=asdict(target))
                    await worker.call("commit", target=asdict(target))
                await worker.call("listen", **self._ports)
                worker.listens()
                self._pool.add(worker)
                self._pool.restarts += 1
        except (AerosError, Refused) as error:
            if not isinstance(error, WorkerGone):
                _log.warning("worker %d cannot take over: %s", worker.number, error)
            worker.kill()

    def _give_up(self, how: str) -> None:
        self.failure = AerosError(
            f"worker processes end soon after their start, {self._restarts.in_row} times in a"
            f" row; the last with {how}",
            hint="what they have logged says why; serving.workers=1 serves in one process",
        )
        self.ended.set()

    # ------------------------------------------------------------ what workers ask

    async def load(self, name: str, ref: str) -> int:
        """Load a model in all workers."""
        return await self._controller.load(name, ref)

    async def unload(self, name: str) -> None:
        """Unload a model in all workers."""
        await self._controller.unload(name)

    async def index(self, ready: bool) -> list[dict[str, str]]:
        """Return every version in the repository, or those that are loaded."""
        return [asdict(entry) for entry in await self._controller.index(ready)]

    async def ready(self) -> bool:
        """Tell whether all workers take requests."""
        return await self._pool.ready()

    async def report(self) -> dict[str, Any]:
        """Return what all workers have done."""
        found = await self._pool.report(self._controller.failures)
        return {
            "versions": [to_json(each) for each in found.versions],
            "failures": found.failures,
            "workers": found.workers,
            "restarts": found.restarts,
        }
