"""Split traffic between members: every row is always assigned to the same member."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.errors import ConfigError
from aeros_graphs.graph import Graph, deal, rows_of

__all__ = ["SplitterInferencer"]


class SplitterInferencer(Graph):
    """Splitter that assigns rows to members by a keyed hash (BLAKE2b) of their content.

    The arguments are those of `config.Splitter`.

    Raises:
        ConfigError: There are fewer than two members, or the seed is negative.
    """

    def __init__(self, *, members: Mapping[str, Any], seed: int, by: Sequence[str]):
        super().__init__(members, least=2)
        if not 0 <= seed < 2**64:
            raise ConfigError(f"inferencer.seed={seed} is not possible", exists="0 or more")
        self._key, self._by = seed.to_bytes(8, "little"), list(by)
        self._ends = np.cumsum(self.weights)[:-1]

    def predict(self, batch: Batch) -> Batch:
        """Return the prediction for each row from the member it is assigned to.

        Raises:
            ConfigError: A field of ``by`` is not in the batch.
        """
        names = list(self.members)
        return deal(batch, self.places(batch), lambda n, part: self.asked(names[n], part))

    def places(self, batch: Batch) -> NDArray[np.int64]:
        """Return the index of each row's member, shape (rows,)."""
        if missing := [name for name in self._by if name not in batch]:
            raise ConfigError(
                f"the batch has no field '{missing[0]}', which decides who answers",
                exists=", ".join(batch) or "no field at all",
            )
        columns = [_words(batch[name]) for name in self._by or sorted(batch)]
        draws = np.empty(rows_of(batch))
        for row in range(len(draws)):
            digest = hashlib.blake2b(key=self._key, digest_size=8)
            for column in columns:
                digest.update(column[row])
            draws[row] = int.from_bytes(digest.digest(), "little") / 2**64
        return np.searchsorted(self._ends, draws, side="right").astype(np.int64)


def _words(column: Array) -> Sequence[bytes]:
    """Return the bytes of each row: numbers as stored, text as its length and UTF-8 bytes."""
    if column.dtype.kind in "OUS":
        return [_text(row) for row in column.reshape(len(column), -1)] if len(column) else []
    rows = np.ascontiguousarray(column).reshape(len(column), -1 if column.size else 0)
    return [row.tobytes() for row in rows]


def _text(row: Array) -> bytes:
    texts = [v if isinstance(v, bytes) else str(v).encode() for v in row.tolist()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
