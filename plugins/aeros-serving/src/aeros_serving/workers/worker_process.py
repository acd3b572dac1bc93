"""A worker as the supervisor sees it: a process, and a channel to it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aeros_serving.workers.channel import Channel, Handler
from aeros_serving.workers.connection import Connection
from aeros_serving.workers.errors import WorkerGone

__all__ = ["WorkerProcess", "environment"]

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What libraries read the number of their threads from."""

STARTING = 120.0
"""Seconds within which a new worker has to respond, where ``serving.worker_timeout`` is shorter."""

_PARTS = 4
"""Parts that the timeout of a worker is waited in."""

_log = logging.getLogger(__name__)


def environment(workers: int) -> dict[str, str]:
    """Return the environment of a worker: numeric libraries take its share of the processors.

    Args:
        workers: Number of workers. What a user has set stays.
    """
    share = str(max(1, len(os.sched_getaffinity(0)) // workers))
    return dict.fromkeys(_THREADS, share) | dict(os.environ)


class WorkerProcess:
    """A process of ``python -m aeros_serving.workers.worker``.

    Args:
        number: Its number, from 1.
        process: The process.
        channel: Calls to it, and from it.

    Attributes:
        serving_since: When it began to listen, monotonic; None: not yet.
    """

    def __init__(self, number: int, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.number = number
        self.serving_since: float | None = None
        self._process = process
        self._channel = channel
        loop = asyncio.get_running_loop()
        self._receiving = loop.create_task(channel.run())
        self._watching: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, number: int, handlers: Mapping[str, Handler], env: Mapping[str, str]
    ) -> WorkerProcess:
        """Start a worker.

        Args:
            number: Its number.
            handlers: What it may call.
            env: Its environment.

        Raises:
            OSError: The system starts no further process.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            words = ("-P", "-m", "aeros_serving.workers.worker", str(theirs.fileno()))
            process = await asyncio.create_subprocess_exec(
                sys.executable, *words, pass_fds=[theirs.fileno()], env=dict(env),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the supervisor, which lets them drain
            )  # fmt: skip
        return cls(number, process, Channel(Connection(ours), handlers))

    def listens(self) -> None:
        """Note that it serves from now on."""
        self.serving_since = time.monotonic()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def served(self) -> float:
        """Seconds that it has served."""
        return 0.0 if self.serving_since is None else time.monotonic() - self.serving_since

    def watch(self, timeout: float) -> None:
        """Kill the process as soon as its event loop does not respond, until it has ended.

        Args:
            timeout: Seconds within which it has to respond; 0: it is not watched.
        """
        if timeout:
            loop = asyncio.get_running_loop()
            self._watching = loop.create_task(self._watch(timeout))

    async def _watch(self, timeout: float) -> None:
        limit = max(timeout, STARTING)
        with suppress(WorkerGone):
            while await self._responds(limit):
                limit = timeout
                await asyncio.sleep(timeout / _PARTS)
            text = "worker %d (process %d) has not responded for %g s, and is killed"
            _log.error(text, self.number, self.pid, limit)
            self.kill()

    async def _responds(self, limit: float) -> bool:
        """Return whether the process responds within a number of seconds.

        They are waited in parts: where this process was stopped itself, or the whole machine was
        suspended, one part is over at once, and the worker has the others.

        Raises:
            WorkerGone: It has ended.
        """
        response = asyncio.ensure_future(self.call("ping"))
        for _ in range(_PARTS):
            if (await asyncio.wait([response], timeout=limit / _PARTS))[0]:
                await response
                return True
        response.cancel()
        return False

    @property
    def gone(self) -> bool:
        """Whether it has closed its end of the channel."""
        return self._receiving.done()

    async def call(self, name: str, /, **arguments: Any) -> Any:
        """Have it carry something out, and return the result.

        Raises:
            WorkerGone: It has ended.
            Exception: What it has raised.
        """
        return await self._channel.call(name, **arguments)

    async def ended(self) -> str:
        """Return how it has ended, once it has: its signal or its exit code."""
        code = await self._process.wait()
        if self._watching is not None:
            self._watching.cancel()
        self._channel.close()
        await self._receiving
        if code >= 0:
            return f"exit code {code}"
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.kill()
