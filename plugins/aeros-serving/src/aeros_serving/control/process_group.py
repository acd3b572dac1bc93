"""What the processes of a server do and know together, be it one or several."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from aeros_serving.control.controller import DeploymentController, Entry
from aeros_serving.control.report import VersionReport, report_of
from aeros_serving.models.repository import ModelRepository

__all__ = ["ProcessGroup", "ServerReport", "SingleProcess"]


@dataclass(frozen=True, slots=True)
class ServerReport:
    """What a server has done.

    Args:
        versions: The versions that are loaded.
        failures: How often a version could not be loaded, by model.
        workers: Processes that serve; 0: this one alone.
        restarts: Processes that were started in the place of others.
    """

    versions: list[VersionReport]
    failures: dict[str, int] = field(default_factory=dict)
    workers: int = 0
    restarts: int = 0


class ProcessGroup(Protocol):
    """All processes of a server, as each of them sees them."""

    async def load(self, name: str, ref: str) -> int:
        """Load a model in all processes and return its version.

        Raises:
            Exception: One of them cannot; nothing has changed.
        """

    async def unload(self, name: str) -> None:
        """Unload a model in all processes.

        Raises:
            Unknown: No such model is loaded.
        """

    async def index(self, ready: bool) -> list[Entry]:
        """Return every version in the repository, or those that are loaded."""

    async def ready(self) -> bool:
        """Tell whether all processes take requests."""

    async def report(self) -> ServerReport:
        """Return what all processes have done together."""


class SingleProcess:
    """The group of a server that has one process.

    Args:
        models: Its models.
        controller: What loads them.
    """

    def __init__(self, models: ModelRepository, controller: DeploymentController) -> None:
        self._models = models
        self._controller = controller

    async def load(self, name: str, ref: str) -> int:
        """Load a model and return its version."""
        return await self._controller.load(name, ref)

    async def unload(self, name: str) -> None:
        """Unload a model."""
        await self._controller.unload(name)

    async def index(self, ready: bool) -> list[Entry]:
        """Return every version in the repository, or those that are loaded."""
        return await self._controller.index(ready)

    async def ready(self) -> bool:
        """Tell whether requests are taken."""
        return self._models.ready

    async def report(self) -> ServerReport:
        """Return what has been done."""
        return ServerReport(report_of(self._models), self._controller.failures)
