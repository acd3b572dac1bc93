"""Where a worker process and its trainer lay parameters for each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch.utils.dlpack

from aeros_core.arrays import Array, Vector
from aeros_core.parameters import Layout, Parameters
from aeros_torch.engines.processes.shared_memory import Kind, SharedMemory

__all__ = ["SEATS", "SharedParameters"]

SEATS = 2
"""Clients that a worker has at a time: one in training, and one to go on with at once."""


class SharedParameters:
    """For each seat the parameters to start from, those made of them, and a drift.

    Args:
        layout: Of the parameters.
        trained: Number of trainable parameters, the length of a drift.
        file: The open file of the bench at the other end; None: a new one.
    """

    def __init__(self, layout: Layout, trained: int, file: int | None = None):
        self.layout = layout
        vectors: list[Kind] = [(dtype, (size,)) for dtype, size in layout.sizes.items()]
        of_seat: list[Kind] = [*vectors, *vectors, ("float32", (trained,))]
        self._shared = SharedMemory(of_seat * SEATS, file)
        self._seats = [
            self._shared.arrays[first : first + len(of_seat)]
            for first in range(0, SEATS * len(of_seat), len(of_seat))
        ]
        self._lies: list[Parameters | None] = [None] * SEATS

    @property
    def file(self) -> int:
        """The open file, to be handed to another process."""
        return self._shared.file

    def put_start(self, seat: int, parameters: Parameters) -> None:
        """Lay down what to start from; nothing is copied that lies there already."""
        if self._lies[seat] is not parameters:
            _copy(parameters.vectors, self._vectors(seat, 0))
            self._lies[seat] = parameters

    def start(self, seat: int) -> Parameters:
        """Return what to start from, not to be changed."""
        return Parameters(self.layout, self._vectors(seat, 0))

    def put_made(self, seat: int, parameters: Parameters) -> None:
        """Lay down what came of a seat's training."""
        _copy(parameters.vectors, self._vectors(seat, 1))

    def made(self, seat: int) -> Parameters:
        """Return what came of a seat's training, with vectors of its own."""
        vectors = {dtype: vector.copy() for dtype, vector in self._vectors(seat, 1).items()}
        return Parameters(self.layout, vectors)

    def put_drift(self, seat: int, drift: Vector) -> None:
        """Lay down a drift."""
        np.copyto(self.drift(seat), _host(drift))

    def drift(self, seat: int) -> Array:
        """Return the drift of a seat."""
        return self._seats[seat][-1]

    def _vectors(self, seat: int, which: int) -> dict[str, Array]:
        many = len(self.layout.sizes)
        part = self._seats[seat][which * many : (which + 1) * many]
        return dict(zip(self.layout.sizes, part, strict=True))


def _copy(source: Mapping[str, Any], target: Mapping[str, Array]) -> None:
    for dtype, vector in target.items():
        np.copyto(vector, _host(source[dtype]))


def _host(vector: Vector) -> Array:
    if isinstance(vector, np.ndarray):
        return vector
    array: Array = torch.utils.dlpack.from_dlpack(vector).cpu().numpy()
    return array
