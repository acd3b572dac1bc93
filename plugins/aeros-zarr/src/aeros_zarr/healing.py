"""What `Archive.heal` does: damaged files are written again from copies that verify."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aeros_zarr import copies
from aeros_zarr.blobs import Blobs
from aeros_zarr.store import Store

__all__ = ["heal"]


def heal(
    store: Store, blobs: Blobs, verify: Callable[[], Mapping[str, str]], others: Sequence[Store]
) -> dict[str, str]:
    """Heal until nothing more can be; return ``{file: where from}``.

    What a healed file names comes into sight only then, and may be damaged as well.

    Args:
        store: What is healed.
        blobs: Its blobs.
        verify: Returns every file, and what is wrong with it.
        others: Stores that are copies of it.

    Raises:
        OSError: The store refuses.
    """
    healed: dict[str, str] = {}
    while True:
        damaged = [file for file, what in verify().items() if what and file not in healed]
        found = {file: _healed(store, blobs, file, others) for file in damaged}
        found = {file: place for file, place in found.items() if place}
        if not found:
            return healed
        healed |= found


def _healed(store: Store, blobs: Blobs, file: str, others: Sequence[Store]) -> str:
    key = file.removeprefix(store.place()).lstrip("/")
    if "/blobs/" in f"/{key}":
        return blobs.heal(key, others)
    if found := copies.record(others, key):
        store.replace(key, found[1])
        return found[0]
    return ""
