"""A server in this process, until it is told to end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

import uvloop

from aeros_core.errors import AerosError
from aeros_serving.config import Serving

__all__ = ["Served", "run", "settle"]

_log = logging.getLogger(__name__)

SWITCH = 0.0005
"""Seconds after which a thread of the server lets another one run Python."""


class Served(Protocol):
    """A server, be it one process or several.

    Attributes:
        options: Its options.
        http_port: Port of the REST protocol; -1: none.
        grpc_port: Port of the gRPC protocol; -1: none.
        ended: Set once it ends by itself.
        failure: Why it does.
    """

    options: Serving
    http_port: int
    grpc_port: int
    ended: asyncio.Event
    failure: AerosError | None

    @property
    def live_versions(self) -> Mapping[str, int]:
        """The live version of each model."""

    @property
    def processes(self) -> Sequence[int]:
        """Numbers of the processes that answer; empty: this one alone."""

    async def start(self, models: Sequence[str]) -> None:
        """Load models and open the ports."""

    async def stop(self) -> bool:
        """Answer what was asked, and close; return whether no thread works any more."""


def run(server: Served, models: Sequence[str]) -> None:
    """Serve these models until SIGTERM or SIGINT; what was asked is answered first.

    Args:
        server: Not started yet.
        models: ``NAME``, ``NAME:VERSION`` or ``NAME:TAG``.

    Raises:
        AerosError: A model cannot be served, a port cannot be opened, or the server has ended
            by itself.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_served(server, models))


async def _served(server: Served, models: Sequence[str]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.ended.set)
    if not await _started(server, models):
        await server.stop()
        _abandon(server)
    settle()
    _announce(server)
    await server.ended.wait()
    if server.failure is None:
        _say("ending: what was asked is answered first")
    if not await server.stop():
        _abandon(server)
    if server.failure is not None:
        raise server.failure


async def _started(server: Served, models: Sequence[str]) -> bool:
    """Start a server; return False where it is to end before it has started."""
    starting = asyncio.ensure_future(server.start(models))
    ending = asyncio.ensure_future(server.ended.wait())
    await asyncio.wait([starting, ending], return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait([starting])
    if starting.cancelled():
        return False
    await starting
    return True


def _abandon(server: Served) -> None:
    """End the process at once: Python's own end waits for threads, which may never return."""
    _log.warning("a model still computes or is being loaded; the process ends without it")
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0 if server.failure is None else 1)


def _announce(server: Served) -> None:
    options = server.options
    for name, version in server.live_versions.items():
        _say(f"model {name} version {version} is ready")
    if server.processes:
        _say(f"{len(server.processes)} workers: processes {', '.join(map(str, server.processes))}")
    scheme = "https" if options.certificate else "http"
    if server.http_port >= 0:
        _say(f"REST on {scheme}://{options.host}:{server.http_port}")
    if server.grpc_port >= 0:
        _say(f"gRPC on {options.host}:{server.grpc_port}")


def settle() -> None:
    """Let nothing in the process hold up those who answer for long.

    What is there now stays, so the collector of garbage need not look at it again: with torch
    that takes a tenth of a second. And a thread that wants to answer is let in sooner than
    after the usual 5 ms.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - scripts wait for these lines
