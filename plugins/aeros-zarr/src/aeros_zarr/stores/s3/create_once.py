"""Exclusive creation of a file on endpoints that ignore conditional writes.

Each process that wants to create the file first writes a claim under a name of its own, then
lists all claims. A process that finds no other claim, and no file, writes the file and withdraws
its claim. Among processes with concurrent claims, the one whose claim sorts first lists again;
the others withdraw, and try again after a random pause. Two processes can never both create the
file: each claim is written before its owner lists the claims, and withdrawn only after the file
exists. No clock is involved. The claim of a killed process remains; after `PATIENCE` seconds
others give up, as if the file existed.

This requires consistent listing, which S3 has provided since 2020, and takes several requests
instead of the one of a conditional write.
"""

from __future__ import annotations

import random
import secrets
import time
from typing import Protocol

__all__ = ["PATIENCE", "create"]

PATIENCE = 20.0
"""Seconds after which a process gives up because of other claims."""

_PAUSE = 0.02
_LONGEST = 1.0


class _Claimable(Protocol):
    def names(self, key: str) -> list[str]: ...
    def exists(self, key: str) -> bool: ...
    def replace(self, key: str, data: bytes) -> None: ...
    def remove(self, *keys: str) -> None: ...


def create(store: _Claimable, key: str, data: bytes) -> bool:
    """Create a file unless it exists; of concurrent callers at most one gets True.

    Returns False, too, if other claims have existed for longer than `PATIENCE`.
    """
    end = time.monotonic() + PATIENCE
    pause = _PAUSE
    while not store.exists(key):
        if _won(store, key, data, end):
            return True
        if time.monotonic() > end:
            return False
        time.sleep(pause * random.random())  # noqa: S311 - not cryptographic
        pause = min(2 * pause, _LONGEST)
    return False


def _won(store: _Claimable, key: str, data: bytes, end: float) -> bool:
    folder = f"tmp/claims/{key.replace('/', ':')}"
    name = f"{secrets.token_hex(8)}.json"
    store.replace(f"{folder}/{name}", b"")
    try:
        while (claims := store.names(folder)) != [name]:
            if name not in claims:  # a store may drop a folder that was just emptied
                store.replace(f"{folder}/{name}", b"")
            elif min(claims) != name or store.exists(key):
                return False
            if time.monotonic() > end:
                return False
            time.sleep(_PAUSE)
        if store.exists(key):
            return False
        store.replace(key, data)
    finally:
        store.remove(f"{folder}/{name}")
    return True
