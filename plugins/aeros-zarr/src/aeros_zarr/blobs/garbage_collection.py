"""Remove blobs that no record names, safely while other processes write.

Only blobs older than a limit are removed, as a writer has just written or touched a blob that it
is about to name. As clocks may jump, a blob is first hidden, then the records are read once
more: a blob named in the meantime is restored. A writer checks its blobs after naming them, and
stores a missing one again. Readers also find hidden blobs, and the next collection restores
those that a killed collection left hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import TypeAlias

from aeros_zarr.blobs.checksums import sha256
from aeros_zarr.stores.layout import HEAD, digests, is_hidden, shown
from aeros_zarr.stores.store import Store

__all__ = ["Named", "collect"]

Named: TypeAlias = Callable[[], Set[str]]
"""Returns the digests that records name at the time of the call."""


def collect(store: Store, folder: str, named: Named, seconds: float) -> dict[str, int]:
    """Remove blobs of a folder that no record names; return ``{location: bytes}``.

    Args:
        store: The store that holds them.
        folder: Key of the folder.
        named: Returns the digests that records name.
        seconds: Minimum age in seconds of a blob that is removed.

    Raises:
        RepositoryError: A record is damaged, so its blobs are unknown; nothing is removed.
        OSError: The store cannot be read or written.
    """
    _reappear(store)
    before = store.now() - seconds
    there = digests(store.folders(folder))
    ages = {digest: store.written(f"{folder}/{digest}") for digest in there}
    old = {digest for digest, written in ages.items() if (written or before) < before}
    unnamed = [d for d in sorted(old - named()) if _is_ours(store, folder, d)] if old else []
    aside = {digest for digest in unnamed if store.hide(f"{folder}/{digest}", before)}
    keys = [f"{folder}/{digest}" for digest in sorted(_unnamed(store, folder, aside, named))]
    return {store.location(key): store.discard(key, before) for key in keys}


def _is_ours(store: Store, folder: str, digest: str) -> bool:
    """Return whether a folder is a blob: its name is the SHA-256 of its ``zarr.json``.

    In a bucket it may also be a partial upload of a killed process.
    """
    try:
        return sha256([store.read(f"{folder}/{digest}/{HEAD}")]) == digest
    except FileNotFoundError:
        return store.is_remote


def _reappear(store: Store) -> None:
    """Restore blobs that a killed collection left hidden."""
    for name in filter(is_hidden, store.folders("tmp")):
        store.bring_back(shown(name))


def _unnamed(store: Store, folder: str, aside: Set[str], named: Named) -> Set[str]:
    """Restore hidden blobs that records name by now; return the others."""
    gone: Set[str] = set()
    try:
        gone = aside - named() if aside else gone
    finally:
        for digest in aside - gone:
            store.bring_back(f"{folder}/{digest}")
    return gone
