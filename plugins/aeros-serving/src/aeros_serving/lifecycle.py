"""A server in this process, until it is told to end."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

import uvloop

from aeros_core.errors import AerosError
from aeros_serving.config import Serving

__all__ = ["Served", "run", "settle"]

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

    async def stop(self) -> None:
        """Answer what was asked, and close."""


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
    await server.start(models)
    settle()
    _announce(server)
    await server.ended.wait()
    if server.failure is None:
        _say("ending: what was asked is answered first")
    await server.stop()
    if server.failure is not None:
        raise server.failure


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
