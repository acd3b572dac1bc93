"""The program of a worker: a server that the supervisor controls, at ports that it shares.

It is started as ``python -m aeros_serving.workers.worker DESCRIPTOR``, where the descriptor is
that of a socket to the supervisor. It ends when the supervisor says so, on SIGTERM, and when the
supervisor has ended; requests that it has are answered first.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from dataclasses import replace
from typing import Any

import uvloop

from aeros_serving.control.report import report_of, to_json
from aeros_serving.lifecycle import settle
from aeros_serving.models.deployment import Target
from aeros_serving.server import Server
from aeros_serving.workers.channel import Channel
from aeros_serving.workers.configuration import Configuration
from aeros_serving.workers.connection import Connection
from aeros_serving.workers.member import Member
from aeros_serving.workers.shared_models import MappedModels

__all__ = ["Worker", "main"]


class Worker:
    """Carries out what the supervisor asks."""

    def __init__(self) -> None:
        self._server: Server | None = None
        self._ending = asyncio.Event()

    async def run(self, connection: socket.socket) -> None:
        """Serve until the supervisor says to end, or has ended.

        Args:
            connection: To the supervisor.
        """
        loop = asyncio.get_running_loop()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        loop.add_signal_handler(signal.SIGTERM, self._ending.set)
        names = "ping configure prepare commit discard drained listen ready report stop"
        handlers = {name: getattr(self, name) for name in names.split()}
        self._channel = Channel(Connection(connection), handlers)
        receiving = loop.create_task(self._channel.run())
        receiving.add_done_callback(lambda _: self._ending.set())
        await self._ending.wait()
        if self._server is not None:
            await self._server.stop()
        self._channel.close()
        await receiving

    @property
    def _serving(self) -> Server:
        assert self._server is not None, "configure comes first"  # noqa: S101
        return self._server

    async def ping(self) -> None:
        """Respond: the event loop runs."""

    async def configure(self, number: int, configuration: dict[str, Any]) -> None:
        """Build the server as it is configured.

        Raises:
            ConfigError: It cannot be.
        """
        _log_as(number)
        read = Configuration.from_json(configuration)
        loader = await asyncio.to_thread(read.loader)
        loop = asyncio.get_running_loop()

        def source(name: str, version: int) -> MappedModels:
            return MappedModels(name, version, self._channel, loop, loader.repository)

        self._server = Server(replace(loader, source=source), read.options, Member(self._channel))

    async def prepare(self, target: dict[str, Any]) -> None:
        """Load what a target needs."""
        await self._serving.models.prepare(Target(**target))

    async def commit(self, target: dict[str, Any]) -> None:
        """Serve a target that is prepared."""
        await self._serving.models.commit(Target(**target))

    async def discard(self, target: dict[str, Any]) -> None:
        """Unload what is prepared."""
        await self._serving.models.discard(Target(**target))

    async def drained(self, name: str) -> None:
        """Wait until versions that were taken out have predicted what waited."""
        await self._serving.models.drained(name)

    async def listen(self, http_port: int, grpc_port: int) -> None:
        """Open the ports, which other processes have open too.

        Raises:
            ConfigError: A port cannot be opened.
        """
        settle()
        await self._serving.open(http_port, grpc_port, share=True)

    async def ready(self) -> bool:
        """Tell whether requests are taken."""
        return self._serving.models.ready and not self._ending.is_set()

    async def report(self) -> list[dict[str, Any]]:
        """Return what has been done."""
        return [to_json(each) for each in report_of(self._serving.models)]

    async def stop(self) -> None:
        """Begin to end."""
        self._ending.set()


def _log_as(number: int) -> None:
    said = f"%(asctime)s %(levelname)s worker {number}: %(message)s"
    logging.basicConfig(level=logging.WARNING, format=said)
    logging.getLogger("aeros_serving").setLevel(logging.INFO)


def main() -> None:
    """Run a worker, with the socket that is the first argument."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Worker().run(connection))


if __name__ == "__main__":
    main()
