"""The test split of data that come in one piece."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aeros_core.data import Dataset
from aeros_core.roles.transformer import Split
from aeros_transforms.options import at_least, fraction

__all__ = ["Holdout"]


@dataclass(frozen=True, slots=True)
class Holdout:
    """Keeps a part of the rows as test split, the same part of each class.

    Args:
        option: Where its options stand, as in ``transformer.digits``.
        fraction: Part of the rows, 0 to below 1; 0: no test split.
        seed: Seed of the draw, from 0.

    Raises:
        ConfigError: A value is out of its range.
    """

    option: str
    fraction: float
    seed: int

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        fraction(f"{self.option}.test_fraction", self.fraction)
        at_least(f"{self.option}.seed", self.seed, 0)

    def of(self, data: Dataset, split: Split) -> Dataset | None:
        """Return one split of the data, in the order of the rows; None: no test split."""
        target = None if data.schema.target is None else data.schema[data.schema.target]
        classes = np.zeros(len(data), dtype=np.int64)
        if target is not None and target.categories is not None:
            classes = data.columns[target.name]
        rows = self._test(classes)
        if split == "test" and not rows.any():
            return None
        return Dataset(data.schema, data.take(np.flatnonzero(rows == (split == "test"))).batch())

    def _test(self, classes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Mark test rows: a systematic sample of the shuffled rows, class behind class.

        So each class gives its share, rounded up or down, and the total is exact.
        """
        rng = np.random.default_rng(self.seed)
        order = rng.permutation(len(classes))
        order = order[np.argsort(classes[order], kind="stable")]
        ticks = np.floor(np.arange(len(order) + 1) * self.fraction + rng.random())
        marked = np.zeros(len(order), dtype=np.bool_)
        marked[order] = np.diff(ticks) > 0
        return marked
