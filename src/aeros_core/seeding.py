"""Named random streams: every random number of a task comes from one of these.

A stream is named by the task's seed and a path such as ``("train", 12, "client-7")``.
Streams with different names are independent, so a resumed task draws the same
numbers as an undisturbed one without replaying what came before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

__all__ = ["seed", "seeds", "stream"]


def seed(task_seed: int, *name: str | int) -> int:
    """Return the 63-bit seed of the stream called ``name``."""
    return _number(hashlib.sha256(_text(str(task_seed), *map(_part, name))))


def seeds(task_seed: int, *name: str | int, last: Iterable[str]) -> list[int]:
    """Return `seed` of each stream called ``name`` and one word more."""
    begun = hashlib.sha256(_text(str(task_seed), *map(_part, name), "str:"))
    found = []
    for word in last:
        whole = begun.copy()
        whole.update(word.encode("utf-8", "surrogatepass"))
        found.append(_number(whole))
    return found


def _text(*parts: str) -> bytes:
    return "\x1f".join(parts).encode("utf-8", "surrogatepass")


def _part(part: str | int) -> str:
    return f"{type(part).__name__}:{part}"


def _number(hashed: hashlib._Hash) -> int:
    return int.from_bytes(hashed.digest()[:8], "little") >> 1


def stream(task_seed: int, *name: str | int) -> np.random.Generator:
    """Return a fresh generator at the start of the stream called ``name``."""
    return np.random.Generator(np.random.PCG64(seed(task_seed, *name)))
