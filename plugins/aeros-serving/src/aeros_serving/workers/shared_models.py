"""Models that all workers map: the supervisor reads and verifies them, once for all."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TypeAlias
from weakref import WeakValueDictionary

from aeros_core.records import Model
from aeros_core.roles.repository import ModelSource
from aeros_serving.control.controller import Processes
from aeros_serving.models.background import Background
from aeros_serving.models.deployment import Target
from aeros_serving.workers.channel import Channel
from aeros_serving.workers.model_file import ModelFile, map_model

__all__ = ["MappedModels", "SharedModels"]

_log = logging.getLogger(__name__)

_Version: TypeAlias = tuple[str, int]
"""A version that is loaded, by its name and number."""

_Read: TypeAlias = tuple[str, str]
"""A model that a version is made of, by its name and version or tag: its own, or a member's."""


class SharedModels:
    """Keeps the files of the versions that workers load, as long as one serves them.

    Implements `aeros_serving.control.controller.Processes`: passes changes on to the workers, and
    lets go of the files that are needed no more. A worker that still predicts what waited for a
    version keeps its map.

    Args:
        source: Reads and verifies models.
        workers: The workers.
    """

    def __init__(self, source: ModelSource, workers: Processes) -> None:
        self._source = source
        self._workers = workers
        self._held: dict[_Version, dict[_Read, asyncio.Task[ModelFile | None]]] = {}
        self._numbered: WeakValueDictionary[_Version, ModelFile] = WeakValueDictionary()
        self._served: dict[str, set[int]] = {}
        self._background = Background()

    async def model(
        self, of: str, of_version: int, name: str, version: int | str
    ) -> ModelFile | None:
        """Return the file of a model; None: it cannot be shared, and a worker has to read it.

        Args:
            of: Name of the model that is being loaded.
            of_version: Its version.
            name: Name of the model that is read for it: the same, or a member of its graph.
            version: The version or tag of that. All workers get the same version of a tag.

        Raises:
            AerosError: It is not there, or damaged.
        """
        held = self._held.setdefault((of, of_version), {})
        key = name, str(version)
        if key not in held:
            held[key] = asyncio.get_running_loop().create_task(self._file(name, version))
        try:
            return await asyncio.shield(held[key])
        except Exception:
            held.pop(key, None)  # it may be repaired
            raise

    async def _file(self, name: str, version: int | str) -> ModelFile | None:
        number = int(version) if str(version).isdecimal() else 0
        if (known := self._numbered.get((name, number))) is not None:
            return known
        # Before anything is served no request is held up, and the start need not give way.
        run = self._background.run if self._served else asyncio.to_thread
        found = await run(self._read, name, version)
        if found is not None and number:  # a number is never given twice
            self._numbered[name, number] = found
        return found

    def _read(self, name: str, version: int | str) -> ModelFile | None:
        model = self._source.model(name, version)
        try:
            return ModelFile(model)
        except TypeError as error:
            text = "model '%s' is not shared, each worker holds a copy: %s"
            _log.warning(text, name, error)
            return None

    async def prepare(self, target: Target) -> None:
        """Have all workers load what a target needs."""
        await self._workers.prepare(target)

    async def commit(self, target: Target) -> None:
        """Have all workers serve a prepared target."""
        self._served[target.name] = target.versions
        await self._workers.commit(target)
        if not target.versions:
            del self._served[target.name]
        self._let_go(target.name)

    async def discard(self, target: Target) -> None:
        """Have all workers unload what was prepared and is not committed."""
        await self._workers.discard(target)
        self._let_go(target.name)

    async def drained(self, name: str) -> None:
        """Return once all workers have predicted what waited for a model."""
        await self._workers.drained(name)

    def _let_go(self, name: str) -> None:
        served = self._served.get(name, set())
        for each in [key for key in self._held if key[0] == name and key[1] not in served]:
            del self._held[each]

    @property
    def reading(self) -> bool:
        """Whether a model is being read."""
        return self._background.working

    def close(self) -> None:
        """Let go of all files."""
        self._background.close()
        self._held.clear()


@dataclass(frozen=True, slots=True)
class MappedModels:
    """The models that one version is made of, mapped from files of the supervisor.

    Implements `aeros_core.roles.repository.ModelSource`; called in a thread.

    Args:
        of: Name of the model that is being loaded.
        of_version: Its version.
        channel: To the supervisor.
        loop: The event loop of the channel.
        repository: Reads a model that cannot be shared.
    """

    of: str
    of_version: int
    channel: Channel
    loop: asyncio.AbstractEventLoop
    repository: ModelSource

    def model(self, name: str, version: int | str = "latest") -> Model:
        """Return a model as the supervisor has read and verified it.

        Raises:
            AerosError: It is not there, or damaged.
        """
        call = self.channel.call(
            "model", of=self.of, of_version=self.of_version, name=name, version=version
        )
        file = asyncio.run_coroutine_threadsafe(call, self.loop).result()
        return self.repository.model(name, version) if file is None else map_model(file)
