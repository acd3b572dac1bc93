"""A server in this process, until it is told to end."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Sequence

import uvloop

from aeros_serving.server import Server

__all__ = ["run"]

SWITCH = 0.0005
"""Seconds after which a thread of the server lets another one run Python."""


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
    _settle()
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


def _settle() -> None:
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
