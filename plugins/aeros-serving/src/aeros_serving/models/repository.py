"""The models that a process has loaded, and how they are exchanged while it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from aeros_serving.config import Serving
from aeros_serving.models.background import Background
from aeros_serving.models.batching import Batching
from aeros_serving.models.deployment import Deployment, Target
from aeros_serving.models.queue import RequestQueue
from aeros_serving.models.version import Loader
from aeros_serving.protocol.errors import Unavailable, Unknown, short

__all__ = ["ModelRepository"]


class ModelRepository:
    """Loads, swaps and unloads models, and finds the queue of each request.

    A change has two steps: `prepare` loads and warms what is not loaded yet, which takes long and
    may fail; `commit` swaps, which does neither.

    Args:
        loader: Loads versions.
        options: Options of the server.
    """

    def __init__(self, loader: Loader, options: Serving) -> None:
        self._loader = loader
        self._options = options
        self._deployments: dict[str, Deployment] = {}
        self._prepared: dict[tuple[str, int], RequestQueue] = {}
        self._leaving: dict[asyncio.Task[None], list[RequestQueue]] = {}
        self._given_up: list[RequestQueue] = []
        self._background = Background()
        self.closing = False

    def __iter__(self) -> Iterator[Deployment]:
        """Yield every model that is loaded."""
        return iter(self._deployments.values())

    @property
    def ready(self) -> bool:
        """Whether this process takes requests."""
        return not self.closing

    def queue(self, name: str, version: str = "") -> RequestQueue:
        """Return the queue of a request for a model, or for one of its versions.

        Raises:
            Unknown: No such model or version is loaded.
            Unavailable: The server is about to end.
        """
        deployment = self._deployment(name)
        if self.closing:
            raise Unavailable("the server is about to end")
        if not version:
            return deployment.pick()
        for queue in deployment.queues:
            if str(queue.served.version) == version:
                return queue
        raise _unloaded(deployment, version)

    def loaded(self, name: str, version: str = "") -> tuple[Deployment, list[RequestQueue]]:
        """Return a model, and those of its versions that are loaded and asked for.

        Raises:
            Unknown: No such model or version is loaded.
        """
        deployment = self._deployment(name)
        queues = [q for q in deployment.queues if version in ("", str(q.served.version))]
        if not queues:
            raise _unloaded(deployment, version)
        return deployment, queues

    def _deployment(self, name: str) -> Deployment:
        try:
            return self._deployments[name]
        except KeyError:
            loaded = ", ".join(self._deployments) or "none"
            raise Unknown(f"model '{short(name)}' is not loaded; models: {loaded}") from None

    async def prepare(self, target: Target) -> None:
        """Load and warm the versions of a target that are not loaded; nothing is swapped yet.

        Raises:
            AerosError: A version is not there, is damaged, or cannot predict.
        """
        for version in target.versions - self._present(target.name).keys():
            self._prepared[target.name, version] = await self._load(target.name, version)

    async def commit(self, target: Target) -> None:
        """Let the prepared versions of a target predict; those before predict what waits."""
        before = self._deployments.get(target.name)
        queues = self._present(target.name)
        if not target.live:
            self._deployments.pop(target.name, None)
        else:
            canary = queues[target.canary] if target.canary else None
            after = Deployment(target.name, queues[target.live], canary, target.share)
            if before is not None and before.canary is canary:
                after.turn = before.turn
            self._deployments[target.name] = after
        self._forget(target.name)
        for version, queue in queues.items():
            if version not in target.versions:
                self._leave(queue)

    async def discard(self, target: Target) -> None:
        """Unload what was prepared and is not committed."""
        for queue in self._forget(target.name):
            self._leave(queue)

    async def drained(self, name: str) -> None:
        """Return once versions of a model that were taken out have predicted what waited."""
        tasks = [
            task for task, held in self._leaving.items() if held and held[0].served.name == name
        ]
        if tasks:
            await asyncio.wait(tasks)  # they go on where the caller waits no longer

    def _present(self, name: str) -> dict[int, RequestQueue]:
        """Return the queues of a model that are deployed or prepared, by version."""
        deployment = self._deployments.get(name)
        queues = deployment.queues if deployment is not None else []
        prepared = {version: q for (of, version), q in self._prepared.items() if of == name}
        return {queue.served.version: queue for queue in queues} | prepared

    def _forget(self, name: str) -> list[RequestQueue]:
        return [self._prepared.pop(key) for key in list(self._prepared) if key[0] == name]

    def _leave(self, queue: RequestQueue) -> None:
        last = [queue]
        task = asyncio.get_running_loop().create_task(self._gone(last))
        self._leaving[task] = last
        task.add_done_callback(lambda done: self._leaving.pop(done, None))

    async def _gone(self, last: list[RequestQueue]) -> None:
        """Let a version predict what waits, and free its memory in the background."""
        await last[0].drain()
        await self._background.run(last.clear)

    async def _load(self, name: str, version: int) -> RequestQueue:
        # Before anything is served no request is held up, and the start need not give way.
        run = self._background.run if self._deployments else asyncio.to_thread
        served = await run(self._loader.load, name, version)
        batching = Batching.of(self._options, name).within(served.service.fixed_rows)
        return RequestQueue(served, batching, self._options.where, asyncio.get_running_loop())

    async def drain(self) -> None:
        """Take no more requests, and return once all that wait are answered."""
        self.closing = True
        queues = [queue for deployment in self for queue in deployment.queues]
        await asyncio.gather(*(queue.drain() for queue in queues), *self._leaving)

    def give_up(self) -> int:
        """Refuse all requests that still wait, as the server has ended; return their number."""
        self.closing = True
        leaving = [queue for last in self._leaving.values() for queue in last]
        queues = [*leaving, *(queue for deployment in self for queue in deployment.queues)]
        self._given_up = queues
        return sum(queue.give_up() for queue in queues)

    def close(self) -> None:
        """End the thread in which versions are loaded and unloaded; the last of all."""
        self._background.close()

    @property
    def working(self) -> bool:
        """Whether a thread still computes what was given up, or loads or unloads a version."""
        return self._background.working or any(queue.computing for queue in self._given_up)


def _unloaded(deployment: Deployment, version: str) -> Unknown:
    loaded = ", ".join(str(queue.served.version) for queue in deployment.queues)
    return Unknown(
        f"model '{deployment.name}' has no version '{short(version)}' loaded; versions: {loaded}"
    )
