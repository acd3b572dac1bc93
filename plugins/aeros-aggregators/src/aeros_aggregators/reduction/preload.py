"""Kernels, loaded while nodes train: the first round does not wait for them."""

from __future__ import annotations

import threading
from functools import cache

import numpy as np

from aeros_aggregators.reduction.server_steps import ServerStep

__all__ = ["preload"]


@cache
def preload(dtype: str) -> threading.Thread:
    """Begin to load what adds up and divides vectors of a dtype; once a process.

    To import numba and to read kernels from the disk takes about a second, and most of it
    can be had while the first updates are awaited.
    """
    thread = threading.Thread(target=_load, args=(dtype,), name="aeros-aggregators-warming")
    thread.start()  # no daemon: a process that ends does so once compiled code is in place
    return thread


def _load(dtype: str) -> None:
    from aeros_aggregators.kernels import mean

    one, total = np.zeros(1, dtype), np.zeros(1)
    sums = ServerStep(dtype, one, one, total, [one], [1.0], True, 1.0, 1.0).packed()
    mean.fold(total, sums.like, sums.table, sums.weights, True, 0, 0)
    mean.mean(one, sums, 0, 0)
