"""Memory for results, used again once nobody refers to what lies in it.

A fresh vector of 10 million numbers costs the system's page faults about as much time as
ten updates cost to be averaged. A task holds two results at a time, the last and the one
being made, so two buffers of a length go round.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from aeros_core.arrays import Array

__all__ = ["take"]

LEAST = 1 << 20
"""Bytes below which memory is not kept."""

KEPT = 2
"""Buffers that are kept while nobody uses them: those used last."""

_free: deque[Array] = deque(maxlen=KEPT)


class _Lease:
    """What arrays on a buffer keep alive, also views of views; it gives the buffer back."""

    def __init__(self, buffer: Array) -> None:
        self._buffer = buffer
        self.__array_interface__ = buffer.__array_interface__

    def __del__(self) -> None:
        if _free is not None:  # at the end of the process, modules are emptied
            _free.append(self._buffer)


def take(size: int, dtype: str | np.dtype[np.generic]) -> Array:
    """Return a vector of junk, in memory that was used before if there is any."""
    kind = np.dtype(dtype)
    if size * kind.itemsize < LEAST:
        return np.empty(size, kind)
    found = _reused(size * kind.itemsize)
    return np.asarray(_Lease(np.empty(size, kind) if found is None else found.view(kind)))


def _reused(nbytes: int) -> Array | None:
    for _ in range(KEPT):
        try:
            buffer = _free.popleft()  # which no other thread can then take
        except IndexError:
            return None
        if buffer.nbytes == nbytes:
            return buffer
        _free.append(buffer)
    return None
