"""Other copies of a damaged file: what a store has of it elsewhere, and what others have.

A file of a blob is a copy if its bytes have the sums that the blob names, wherever they were
found. A record is one if it verifies, and lies at the same key of a store that is a copy.
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
    """Yield the files of stores that should be this file of a blob: place and bytes.

    A blob is the same under its digest in every folder: among the models' blobs, and in
    those of every run. The first one may also have it in its cache, or hidden.

    Args:
        stores: Where to look; the first one is where ``key`` is damaged.
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
    """Return place and bytes of a record that verifies at this key of one of these stores."""
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
