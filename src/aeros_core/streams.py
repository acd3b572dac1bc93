"""Named random streams: every random number of a task comes from one of these.

A stream is named by the task's seed and a path such as ``("train", 12, "client-7")``.
Streams with different names are independent, so a resumed task draws the same
numbers as an undisturbed one without replaying what came before.
"""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["seed", "stream"]


def seed(task_seed: int, *name: str | int) -> int:
    """Return the 63-bit seed of the stream called ``name``."""
    text = "\x1f".join([str(task_seed), *(f"{type(part).__name__}:{part}" for part in name)])
    return (
        int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "little")
        >> 1
    )


def stream(task_seed: int, *name: str | int) -> np.random.Generator:
    """Return a fresh generator at the start of the stream called ``name``."""
    return np.random.Generator(np.random.PCG64(seed(task_seed, *name)))
