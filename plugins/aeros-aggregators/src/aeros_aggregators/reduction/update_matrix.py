"""All updates of a round at once, for rules that have to see them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from aeros_aggregators.arrays import on_device
from aeros_aggregators.arrays.host import host, is_real, stored, working
from aeros_core.arrays import Array, Vector
from aeros_core.messages import Update
from aeros_core.numerics.aggregation import check_layout
from aeros_core.numerics.integer_means import distances, moved
from aeros_core.parameters import Parameters

__all__ = ["Rule", "UpdateMatrix"]

Rule = Callable[[Sequence[Array]], Array]
"""Makes one vector of the updates' vectors; moves along when all of them are moved."""


@dataclass(frozen=True, slots=True)
class UpdateMatrix:
    """The updates of a round, all full parameters or all differences.

    Args:
        parameters: The global parameters they started from.
        updates: The updates, in order.
        delta: Whether rows are differences, as where every update is one.
    """

    parameters: Parameters
    updates: Sequence[Update]
    delta: bool

    @classmethod
    def of(cls, parameters: Parameters, updates: Iterable[Update]) -> Self:
        """Gather the updates.

        Raises:
            DataError: One has another layout.
        """
        held = list(updates)
        for update in held:
            check_layout(parameters, update)
        return cls(parameters, held, all(update.delta for update in held))

    def __len__(self) -> int:
        """Number of updates."""
        return len(self.updates)

    def only(self, chosen: Sequence[int]) -> UpdateMatrix:
        """Return the cohort of the updates at these places, rows as they are here."""
        return replace(self, updates=[self.updates[i] for i in chosen])

    def reach(self, dtype: str) -> list[Vector]:
        """Return real vectors of this dtype where they lie: on a device if all do, else `rows`."""
        vectors = [update.parameters.vectors[dtype] for update in self.updates]
        if dtype != working(dtype) or not all(map(on_device.there, vectors)):
            return list(self.rows(dtype))
        base = host(self.parameters.vectors[dtype], dtype)
        return [
            on_device.shifted(vector, base) if update.delta and not self.delta else vector
            for vector, update in zip(vectors, self.updates, strict=True)
        ]

    def rows(self, dtype: str) -> list[Array]:
        """Return real vectors of this dtype as kernels work on them, one for each update."""
        kind = working(dtype)
        base = host(self.parameters.vectors[dtype], kind)
        rows = []
        for update in self.updates:
            row = host(update.parameters.vectors[dtype], kind)
            rows.append(base + row if update.delta and not self.delta else row)
        return rows

    def combine(self, rule: Rule, *, reach: bool = False) -> Parameters:
        """Return the parameters that ``rule`` makes of the rows of every dtype.

        Args:
            rule: What to make of them, at home.
            reach: Whether it works on rows that lie on a device.
        """
        vectors = {}
        for dtype in self.parameters.vectors:
            if not is_real(dtype):
                vectors[dtype] = self._of_integers(rule, dtype)
                continue
            result = rule(self.reach(dtype) if reach else self.rows(dtype))
            if self.delta:
                result += host(self.parameters.vectors[dtype], working(dtype))
            vectors[dtype] = stored(result, dtype)
        return Parameters(self.parameters.layout, vectors)

    def _of_integers(self, rule: Rule, dtype: str) -> Array:
        """Return what ``rule`` makes of integers, which are values in every update."""
        vectors = [host(update.parameters.vectors[dtype], dtype) for update in self.updates]
        first = vectors[0]
        return moved(first, rule([distances(v, first) for v in vectors]))
