"""The group of processes as a worker sees it: the supervisor answers for all."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aeros_serving.control.controller import Entry
from aeros_serving.control.process_group import ServerReport
from aeros_serving.control.report import from_json
from aeros_serving.workers.channel import Channel
from aeros_serving.workers.errors import WorkerGone

__all__ = ["Member"]

PATIENCE = 4.0
"""Seconds within which the supervisor has to reply, where it changes nothing."""


class Member:
    """Passes what clients ask of the whole server to the supervisor.

    Implements `aeros_serving.control.process_group.ProcessGroup`.

    Args:
        channel: To the supervisor.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def load(self, name: str, ref: str) -> int:
        """Load a model in all workers and return its version."""
        return int(await self._channel.call("load", name=name, ref=ref))

    async def unload(self, name: str) -> None:
        """Unload a model in all workers."""
        await self._channel.call("unload", name=name)

    async def index(self, ready: bool) -> list[Entry]:
        """Return every version in the repository, or those that are loaded."""
        return [Entry(**each) for each in await self._channel.call("index", ready=ready)]

    async def ready(self) -> bool:
        """Tell whether all workers take requests; without a supervisor they end."""
        with suppress(WorkerGone, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                return bool(await self._channel.call("ready"))
        return False

    async def report(self) -> ServerReport:
        """Return what all workers have done together.

        Raises:
            WorkerGone: The supervisor has ended, or does not respond.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._channel.call("report")
        except TimeoutError:
            raise WorkerGone("a process of the server does not respond; try again") from None
        versions = [from_json(each) for each in found.pop("versions")]
        return ServerReport(versions, **found)
