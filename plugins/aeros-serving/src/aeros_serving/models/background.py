"""Work beside requests, in a thread that gives way to those who answer them."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

__all__ = ["NICE", "Background", "bring", "yield_priority"]

NICE = 10
"""Added to the niceness of the thread, and of those that it starts: a tenth of a processor that
others want too, and all of one that nobody does."""

T = TypeVar("T")


class Background:
    """One thread in which versions are read, verified, loaded, warmed, and taken down."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "background", initializer=yield_priority)
        self._under_way: set[Future[Any]] = set()

    @property
    def working(self) -> bool:
        """Whether the thread has work that it has not ended."""
        return bool(self._under_way)

    async def run(self, work: Callable[..., T], *args: object) -> T:
        """Return what a function returns, once the thread has had the time for it."""
        future = self._pool.submit(work, *args)
        self._under_way.add(future)  # until it has a result, which it would keep
        future.add_done_callback(self._under_way.discard)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Take no more work."""
        self._pool.shutdown(wait=False)


def bring(loop: asyncio.AbstractEventLoop, work: Callable[..., object], *args: object) -> None:
    """Have an event loop call a function; one that has ended waits for nothing any more."""
    try:
        loop.call_soon_threadsafe(work, *args)
    except RuntimeError:
        if not loop.is_closed():
            raise


def yield_priority() -> None:
    """Let this thread be the last to have a processor; on Linux, where threads have a niceness."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):
            nice = os.getpriority(os.PRIO_PROCESS, thread) + NICE
            os.setpriority(os.PRIO_PROCESS, thread, min(nice, 19))
