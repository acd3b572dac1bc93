"""Runs a kernel over the ranges of a vector, on as many threads as numba would take.

Kernels release the GIL, so plain Python threads do. numba's own ``parallel=True`` is not
used: its ``workqueue`` layer aborts when two threads of a process enter it, its ``omp``
layer aborts in a forked child, and either makes a kernel slower to compile and to load.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, cast

__all__ = ["SPAN", "count", "spread"]

SPAN = 1 << 16
"""Ranges start at multiples of this many elements, whatever the number of threads."""

Kernel = Callable[..., object]


def count() -> int:
    """Return how many threads work: numba's number, ``NUMBA_NUM_THREADS`` or every core."""
    import numba

    return int(cast("Any", numba.config).NUMBA_NUM_THREADS)


def spread(kernel: Kernel, size: int, *arguments: object) -> None:
    """Call ``kernel(*arguments, start, stop)`` for ranges that together cover ``size``.

    The calling thread begins at once and others take ranges from it once they are awake,
    which on an idle machine is after a millisecond: time enough for a whole small model.
    """
    threads = count()
    if size <= SPAN or threads == 1:
        kernel(*arguments, 0, size)
        return
    share = -(-size // (4 * threads * SPAN)) * SPAN  # four ranges a thread even out the load
    starts, held = iter(range(0, size, share)), list(arguments)

    def work() -> None:
        for start in starts:
            kernel(*held, start, min(start + share, size))

    others = [_pool(threads - 1).submit(work) for _ in range(threads - 1)]
    work()
    for other in others:
        if not other.cancel():
            other.result()
    held.clear()  # a thread that wakes only now would keep the memory of a result from use


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="aeros-aggregators")


# A forked child has none of its parent's threads, so it makes a pool of its own.
os.register_at_fork(after_in_child=_pool.cache_clear)
