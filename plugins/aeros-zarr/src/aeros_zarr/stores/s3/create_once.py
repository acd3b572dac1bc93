"""How one of many creates a file where conditions on writes are ignored.

Everybody who wants the file first puts a claim of its own beside it, and then lists the
claims. Who finds no other one, and no file, writes the file and withdraws the claim. Of
those who find each other, the one whose claim is named first stays and lists again; the
others withdraw, and try again after a random pause. So two can never both go on: of two
claims, the one that was put later is put before its owner lists, and the other one is
withdrawn only after its file is there. No clock is involved, and nobody waits for one who
was killed: a claim that stays is given up on, as if the file were there.

It is safe on endpoints whose lists are consistent, as those of S3 are since 2020. It takes
several requests where a conditional write takes one.
"""

from __future__ import annotations

import random
import secrets
import time
from typing import Protocol

__all__ = ["PATIENCE", "create"]

PATIENCE = 20.0
"""Seconds after which the claims of others are taken for a file that will come."""

_PAUSE = 0.02
_LONGEST = 1.0


class _Claimable(Protocol):
    def names(self, key: str) -> list[str]: ...
    def exists(self, key: str) -> bool: ...
    def replace(self, key: str, data: bytes) -> None: ...
    def remove(self, *keys: str) -> None: ...


def create(store: _Claimable, key: str, data: bytes) -> bool:
    """Write a file unless there is one: of many who try, one gets True.

    False is also the answer if others have claimed it for longer than `PATIENCE`.
    """
    end = time.monotonic() + PATIENCE
    pause = _PAUSE
    while not store.exists(key):
        if _won(store, key, data, end):
            return True
        if time.monotonic() > end:
            return False
        time.sleep(pause * random.random())  # noqa: S311 - it only has to differ
        pause = min(2 * pause, _LONGEST)
    return False


def _won(store: _Claimable, key: str, data: bytes, end: float) -> bool:
    folder = f"tmp/claims/{key.replace('/', ':')}"
    name = f"{secrets.token_hex(8)}.json"
    store.replace(f"{folder}/{name}", b"")
    try:
        while (claims := store.names(folder)) != [name]:
            if name not in claims:  # lost with the folder, which others have just emptied
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
