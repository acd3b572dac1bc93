"""Rows of a data set as tensors: shuffled for training, in order for evaluation."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count, islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aeros_core.arrays import Array
from aeros_core.data import Dataset
from aeros_core.errors import DataError
from aeros_torch.training.label_check import Labels

__all__ = ["Batches", "DeviceColumns"]

_GATHERED = 4096
"""Examples gathered at once, so that a large client does not need its data twice."""


class DeviceColumns:
    """Columns of tables, kept on a device for as long as their arrays live.

    Args:
        device: Where the tensors lie. On the CPU nothing is kept: rows are gathered from
            the arrays themselves.
        keep: Whether to keep whole columns on the device.
    """

    def __init__(self, device: torch.device, *, keep: bool):
        self._device = device
        self._keep = keep
        self._columns: dict[int, Tensor] = {}

    def __len__(self) -> int:
        """Number of columns kept."""
        return len(self._columns)

    def take(self, column: Array, rows: NDArray[np.int64] | slice | Tensor) -> Tensor:
        """Return rows of a column as a tensor that nobody else writes to."""
        if self._keep:
            index = self.places(rows) if isinstance(rows, np.ndarray) else rows
            return self._whole(column)[index]
        if isinstance(rows, Tensor):
            raise TypeError("rows on a device are of columns that are kept there")
        part = column[rows] if isinstance(rows, slice) else np.take(column, rows, axis=0)
        if not (part.flags.c_contiguous and part.flags.writeable):
            part = np.array(part)
        return torch.from_numpy(part).to(self._device)

    def places(self, rows: NDArray[np.int64]) -> NDArray[np.int64] | Tensor:
        """Return row numbers where `take` looks rows up."""
        return torch.from_numpy(rows).to(self._device) if self._keep else rows

    def _whole(self, column: Array) -> Tensor:
        if id(column) not in self._columns:
            self._columns[id(column)] = torch.tensor(column, device=self._device)
            weakref.finalize(column, self._columns.pop, id(column)).atexit = False
        return self._columns[id(column)]


@dataclass(frozen=True, slots=True)
class Batches:
    """Examples and targets of data sets with one schema, in batches.

    Args:
        feature: Name of the field that goes into the module.
        target: Name of the field to predict.
        outputs: Values of one number target; None for classes.
        resident: Where columns become tensors.
        smallest: Examples that a batch needs at least; a rest below that joins the
            batch before.
        labels: Says which codes there may be; None: any.
    """

    feature: str
    target: str
    outputs: int | None
    resident: DeviceColumns
    smallest: int = 1
    labels: Labels | None = None

    def some(self, data: Dataset) -> None:
        """Refuse data that cannot be measured.

        Raises:
            DataError: There is no example, or a label is the code of no class.
        """
        if self.labels is not None:
            self.labels.check(data.columns[self.target])
        if not len(data):
            raise DataError(
                "the data hold no example",
                hint="cut them into fewer clients, or leave this node out",
            )

    def check(self, data: Dataset) -> None:
        """Refuse data that cannot be trained on.

        Raises:
            DataError: There is no example, fewer than a batch needs, or a label that is
                the code of no class.
        """
        self.some(data)
        if len(data) < self.smallest:
            raise DataError(
                f"the data hold {len(data)} example, and BatchNorm needs {self.smallest}",
                hint="give each client more examples, or use a model without BatchNorm",
            )

    def shuffled(
        self, data: Dataset, *, size: int, seed: int, epochs: int, steps: int | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of a round.

        The order of each epoch is the next permutation of numpy's ``default_rng(seed)``.

        Args:
            data: A node's examples.
            size: Examples in a batch.
            seed: Seed of the order.
            epochs: Passes over the data.
            steps: Batches in all, instead of ``epochs``.

        Raises:
            DataError: There are fewer examples than a batch needs.
        """
        self.check(data)
        rng = np.random.default_rng(seed)
        passes = count() if steps is not None else range(epochs)
        every = chain.from_iterable(
            self._epoch(data, rng.permutation(len(data)), size) for _ in passes
        )
        return every if steps is None else islice(every, steps)

    def _epoch(
        self, data: Dataset, order: NDArray[np.int64], size: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        rows = order if data.rows is None else data.rows[order]
        sizes, start = self._sizes(len(order), size), 0
        at_once = max(1, _GATHERED // size)
        for first in range(0, len(sizes), at_once):
            some = sizes[first : first + at_once]
            examples, targets = self._pair(data, rows[start : start + sum(some)])
            start += sum(some)
            yield from zip(torch.split(examples, some), torch.split(targets, some), strict=True)

    def _sizes(self, examples: int, size: int) -> list[int]:
        whole, rest = divmod(examples, size)
        if rest == 0:
            return [size] * whole
        if rest < self.smallest and whole:
            return [*[size] * (whole - 1), size + rest]
        return [*[size] * whole, rest]

    def part(self, data: Dataset, start: int, size: int) -> tuple[Tensor, Tensor]:
        """Return ``size`` examples in the order of the data, from number ``start`` on."""
        part = slice(start, start + size)
        return self._pair(data, part if data.rows is None else data.rows[part])

    def stacked(self, data: Dataset, rows: NDArray[np.int64] | Tensor) -> tuple[Tensor, Tensor]:
        """Return a batch of many clients (clients, batch, ...).

        Args:
            data: A table that they share.
            rows: Rows of each batch (clients, batch), as `DeviceColumns.places` gives them.
        """
        examples = self.resident.take(data.columns[self.feature], rows)
        targets = self.resident.take(data.columns[self.target], rows)
        if self.outputs is None:
            return examples, targets
        return examples, targets.to(torch.float32).reshape(*rows.shape, self.outputs)

    def _pair(self, data: Dataset, rows: NDArray[np.int64] | slice) -> tuple[Tensor, Tensor]:
        examples = self.resident.take(data.columns[self.feature], rows)
        targets = self.resident.take(data.columns[self.target], rows)
        if self.outputs is None:
            return examples, targets
        return examples, targets.to(torch.float32).reshape(-1, self.outputs)
