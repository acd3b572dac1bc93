"""Partitions from the client that owns each row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeros_core.arrays import Array
from aeros_core.data import Dataset, Partition
from aeros_core.errors import ConfigError

__all__ = ["apportion", "cut", "enough", "labels", "partition", "repair"]

Owners = NDArray[np.int64]
"""Number of the client that holds each row."""


def partition(owner: Owners, clients: int) -> Partition:
    """Return the partition in which row ``i`` belongs to client ``owner[i]``.

    A client's rows are in the order of the table.
    """
    offsets = np.zeros(clients + 1, dtype=np.int64)
    np.cumsum(np.bincount(owner, minlength=clients), out=offsets[1:])
    return Partition(np.argsort(owner, kind="stable"), offsets)


def cut(rows: int, parts: int) -> Owners:
    """Return the part that each of ``rows`` falls in when cut evenly, in order."""
    return np.repeat(np.arange(parts), np.diff(np.arange(parts + 1) * rows // parts))


def apportion(shares: NDArray[np.float64], rows: int) -> NDArray[np.int64]:
    """Return how many of ``rows`` each client holds by its share; shares sum to 1."""
    ends = np.rint(np.cumsum(shares) * rows).astype(np.int64)
    ends[-1] = rows
    return np.diff(np.minimum(ends, rows), prepend=0)


def enough(option: str, data: Dataset, clients: int, least: int = 1) -> None:
    """Refuse more clients than the data can serve.

    Args:
        option: Where the option ``clients`` stands, as in ``transformer.iid``.
        data: The data to be cut.
        clients: Number of clients.
        least: Examples each client needs.

    Raises:
        ConfigError: There are fewer than ``least`` examples for each client.
    """
    if len(data) >= clients * least:
        return
    most = len(data) // least
    each = "" if least == 1 else f" of at least {least} examples each"
    raise ConfigError(
        f"{option}.clients={clients}{each} needs {clients * least} examples:"
        f" a client would be left with {'none' if least == 1 else 'fewer'}",
        exists=f"{len(data)} examples",
        hint=f"{option}.clients={most}" if most else "load more data",
    )


def labels(option: str, data: Dataset) -> Array:
    """Return the target of each example.

    Raises:
        ConfigError: There is no target, or it is not a single value.
    """
    target = data.schema.target
    if target is None or data.schema[target].shape:
        what = "there is none" if target is None else f"'{target}' is an array"
        raise ConfigError(
            f"{option} sorts examples by their target, and {what}",
            hint="transformer=[<source>,iid]",
        )
    column = data.columns[target]
    return column if data.rows is None else column[data.rows]


def repair(owner: Owners, clients: int, least: int, rng: np.random.Generator) -> Owners:
    """Return owners such that nobody holds fewer than ``least`` rows.

    What clients lack is taken, row by row at random, from those that hold the most,
    all down to a common level.
    """
    sizes = np.bincount(owner, minlength=clients)
    lacks = np.maximum(least - sizes, 0)
    if not lacks.any():
        return owner
    keep = _levelled(sizes, int(lacks.sum()))
    order = rng.permutation(len(owner))
    order = order[np.argsort(owner[order], kind="stable")]
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    repaired = owner.copy()
    repaired[order[rank >= keep[owner[order]]]] = np.repeat(np.arange(clients), lacks)
    return repaired


def _levelled(sizes: NDArray[np.int64], taken: int) -> NDArray[np.int64]:
    """Return the sizes after ``taken`` rows in all are taken from the largest."""
    falling = np.sort(sizes)[::-1]
    above = np.cumsum(falling) - np.arange(1, len(sizes) + 1) * falling
    donors = int(np.searchsorted(above, taken, side="left"))
    level, left = divmod(int(falling[:donors].sum()) - taken, donors)
    keep = np.minimum(sizes, level)
    keep[np.flatnonzero(sizes > level)[:left]] += 1
    return keep
