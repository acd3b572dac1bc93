"""Arrays that several processes have in common."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from collections.abc import Sequence
from math import prod
from typing import TypeAlias

import numpy as np

from aeros_core.arrays import Array

__all__ = ["Kind", "SharedMemory"]

Kind: TypeAlias = tuple[str, tuple[int, ...]]
"""numpy's name of a dtype, and a shape."""

_LINE = 64


class SharedMemory:
    """Arrays in memory that has no name: it is gone when the last process that maps it is.

    So nothing is left behind by a process that is killed, and the size of ``/dev/shm``
    does not matter.

    Args:
        kinds: Dtype and shape of each array; all zero at first.
        file: The open file of another process's arrays of these kinds; None: new memory.
    """

    def __init__(self, kinds: Sequence[Kind], file: int | None = None):
        sizes = [np.dtype(dtype).itemsize * prod(shape) for dtype, shape in kinds]
        starts = [0]
        for size in sizes:
            starts.append(-(-(starts[-1] + size) // _LINE) * _LINE)
        length = max(starts[-1], 1)
        self.file = _unnamed(length) if file is None else file
        weakref.finalize(self, os.close, self.file)
        memory = mmap.mmap(self.file, length)
        self.arrays: list[Array] = [
            np.frombuffer(memory, dtype, prod(shape), start).reshape(shape)
            for (dtype, shape), start in zip(kinds, starts, strict=False)
        ]

    file: int
    """The open file, to be handed to another process."""


def _unnamed(length: int) -> int:
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("aeros")
    else:
        with tempfile.TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    os.ftruncate(file, length)
    return file
