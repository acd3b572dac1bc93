"""What nothing names is removed, while others write, and whatever their clocks say.

A blob that somebody is about to name is a young one: it was just written or touched. And
where clocks jump: what is to go is first hidden, then what is named is read once more. Who
names a blob before it is hidden finds it back; who looks for it after having named it, as
writers do, learns that it is gone and stores it again. Readers find what is hidden, and the
next collection brings back what one has hidden that was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import TypeAlias

from aeros_zarr.blobs.checksums import sha256
from aeros_zarr.stores.layout import HEAD, digests, is_hidden, shown
from aeros_zarr.stores.store import Store

__all__ = ["Named", "collect"]

Named: TypeAlias = Callable[[], Set[str]]
"""Returns the digests that records name now."""


def collect(store: Store, folder: str, named: Named, seconds: float) -> dict[str, int]:
    """Remove blobs of a folder that nothing names; return ``{blob: bytes}``.

    Args:
        store: Where they lie.
        folder: Key of the folder.
        named: Tells what is named.
        seconds: Age from which a blob may go.

    Raises:
        RepositoryError: A record is damaged, so that nobody knows what it names; nothing goes.
        OSError: The store refuses.
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
    """Tell whether a folder is a blob: its name is the SHA-256 of its ``zarr.json``.

    In a bucket it may also be what a killed process has uploaded of one.
    """
    try:
        return sha256([store.read(f"{folder}/{digest}/{HEAD}")]) == digest
    except FileNotFoundError:
        return store.is_remote


def _reappear(store: Store) -> None:
    """Bring back what a collection has hidden that was killed."""
    for name in filter(is_hidden, store.folders("tmp")):
        store.bring_back(shown(name))


def _unnamed(store: Store, folder: str, aside: Set[str], named: Named) -> Set[str]:
    """Bring back what is named by now; return what stays hidden."""
    gone: Set[str] = set()
    try:
        gone = aside - named() if aside else gone
    finally:
        for digest in aside - gone:
            store.bring_back(f"{folder}/{digest}")
    return gone
