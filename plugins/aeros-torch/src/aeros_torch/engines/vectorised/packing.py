"""Which examples each of many clients trains on in each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aeros_core.data import Dataset

__all__ = ["Pack", "Span"]

_SPAN = 64
"""Steps planned at once: few enough that their row numbers stay small."""

_Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Span:
    """Some steps in a row, taken by the same clients.

    Args:
        clients: How many take them: the first so many of the pack.
        rows: Rows of the table (steps, clients, batch).
        counts: Examples of each batch (steps, clients); behind them ``rows`` repeats the
            first one.
    """

    clients: int
    rows: _Numbers
    counts: _Numbers


class Pack:
    """Clients that train together, those with the most steps first.

    The order of each epoch is the next permutation of numpy's ``default_rng(seed)``, as
    in `Feed.shuffled`. A client that has finished leaves: the others are the first rows.

    Args:
        data: Examples of each client, at least one.
        seeds: Seed of each client's order.
        size: Examples in a batch.
        epochs: Passes over the data.
        steps: Batches in all, instead of ``epochs``.
    """

    order: _Numbers
    """Number of the client in each place."""

    steps: _Numbers
    """Steps that each place takes, falling."""

    seen: _Numbers
    """Examples that each place trains on in all its steps."""

    def __init__(
        self,
        data: Sequence[Dataset],
        seeds: Sequence[int],
        *,
        size: int,
        epochs: int,
        steps: int | None,
    ):
        counts = np.array([len(some) for some in data], np.int64)
        batches = -(-counts // size)
        taken = np.full(len(counts), steps, np.int64) if steps else epochs * batches
        self.order = np.argsort(-taken, kind="stable")
        self.steps, self._size = taken[self.order], size
        self._counts, self._batches = counts[self.order], batches[self.order]
        whole, rest = np.divmod(self.steps, self._batches)
        self.seen = whole * self._counts + np.minimum(rest * size, self._counts)
        passes = -(-self.steps // self._batches)
        parts = [
            _shuffled(data[place], seeds[place], int(number))
            for place, number in zip(self.order, passes, strict=True)
        ]
        self._rows = np.concatenate(parts)
        self._starts = np.cumsum([0, *map(len, parts[:-1])])

    def spans(self) -> Iterator[Span]:
        """Yield all steps, in order."""
        done = 0
        while done < self.steps[0]:
            clients = int(np.count_nonzero(self.steps > done))
            end = min(done + _SPAN, int(self.steps[clients - 1]))
            yield self._span(np.arange(done, end)[:, None], clients)
            done = end

    def _span(self, steps: _Numbers, clients: int) -> Span:
        counts, batches = self._counts[:clients], self._batches[:clients]
        epoch, batch = np.divmod(steps, batches)
        sizes = np.minimum(self._size, counts - batch * self._size)
        begins = self._starts[:clients] + epoch * counts + batch * self._size
        offsets = np.arange(sizes.max())
        places = begins[..., None] + np.where(offsets < sizes[..., None], offsets, 0)
        return Span(clients, self._rows[places], sizes)


def _shuffled(data: Dataset, seed: int, passes: int) -> _Numbers:
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(data)) for _ in range(passes)])
    return order if data.rows is None else data.rows[order]
