"""Find copies of a damaged file, in the same store and in others.

A copy of a blob's file may lie anywhere, as its bytes are verified by the checksums of the blob.
A copy of a record must be a valid record at the same key of another store.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress

from aeros_core.errors import RepositoryError
from aeros_zarr.format import manifest
from aeros_zarr.stores.layout import hidden, named
from aeros_zarr.stores.store import Store

__all__ = ["of_blob", "record"]


def of_blob(stores: Sequence[Store], key: str) -> Iterator[tuple[str, bytes]]:
    """Yield candidate copies of a file of a blob: location and unverified bytes.

    The same digest means the same content in every folder: among the blobs of models and of
    every run. The first store may also have a copy in its cache, or hidden.

    Args:
        stores: The stores to search; the first one is that of the damaged file.
        key: ``<folder>/<digest>/<name>``.
    """
    digest, name = key.split("/")[-2:]
    with suppress(OSError):
        aside = f"{hidden(key.rpartition('/')[0])}/{name}"
        yield stores[0].location(aside), stores[0].read(aside)
    with suppress(OSError), stores[0].open(key) as file:
        yield f"the cache of {stores[0].location()}", file.read() or b""
    for n, store in enumerate(stores):
        for candidate in (key, *(f"{f}/{digest}/{name}" for f in _folders(store))):
            if n or candidate != key:
                with suppress(OSError):
                    yield store.location(candidate), store.read(candidate)


def record(stores: Sequence[Store], key: str) -> tuple[str, bytes] | None:
    """Return location and bytes of the first valid record at this key of these stores."""
    for store in stores:
        with suppress(OSError, ValueError, LookupError, TypeError, RepositoryError):
            data = store.read(key)
            content = manifest.load(json.loads(data)["kind"], data, store.location(key))
            manifest.placed(content, store, key)
            return store.location(key), data
    return None


def _folders(store: Store) -> Iterator[str]:
    yield "blobs"
    with suppress(OSError):
        for run in named(store.folders("runs")):
            yield f"runs/{run}/blobs"
