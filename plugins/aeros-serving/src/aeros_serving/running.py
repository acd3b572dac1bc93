"""A server in this process, until it is told to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

import uvloop

from aeros_serving.server import Server

__all__ = ["run"]


def run(server: Server, models: Sequence[str]) -> None:
    """Serve these models until SIGTERM or SIGINT; what was asked is answered first.

    Args:
        server: Not started yet.
        models: ``NAME``, ``NAME:VERSION`` or ``NAME:TAG``.

    Raises:
        AerosError: A model cannot be served, or a port cannot be opened.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_served(server, models))


async def _served(server: Server, models: Sequence[str]) -> None:
    ended = asyncio.Event()
    loop, options = asyncio.get_running_loop(), server.options
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await server.start(models)
    for slot in server.shelf:
        _say(f"model {slot.name} version {slot.live.served.version} is ready")
    scheme = "https" if options.certificate else "http"
    if server.http_port >= 0:
        _say(f"REST on {scheme}://{options.host}:{server.http_port}")
    if server.grpc_port >= 0:
        _say(f"gRPC on {options.host}:{server.grpc_port}")
    await ended.wait()
    _say("ending: what was asked is answered first")
    await server.stop()


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - scripts wait for these lines
