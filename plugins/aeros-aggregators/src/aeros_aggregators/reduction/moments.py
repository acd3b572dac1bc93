"""Vectors that a rule carries from round to round, as a state to store and restore."""

from __future__ import annotations

import numpy as np

from aeros_aggregators.reduction.server_steps import ServerStep
from aeros_core.arrays import Array
from aeros_core.errors import DataError
from aeros_core.messages import State

__all__ = ["Moments"]


class Moments:
    """Named vectors as long as the parameters, all zero at first.

    Args:
        names: What there is, such as ``momentum``.
    """

    def __init__(self, *names: str) -> None:
        self._names = names
        self._vectors: dict[str, Array] = {}

    def of(self, name: str, term: ServerStep) -> Array:
        """Return the vector called ``name`` that goes with one of the parameters' vectors.

        Raises:
            DataError: The state restored belongs to another model.
        """
        return self.beside(term.base, f"{name}.{term.dtype}")

    def beside(self, base: Array, key: str) -> Array:
        """Return the vector called ``key``, ``<name>.<dtype>``, which is as long as ``base``.

        Raises:
            DataError: The state restored belongs to another model.
        """
        if key not in self._vectors:
            self._vectors[key] = np.zeros_like(base)
        vector = self._vectors[key]
        if vector.shape != base.shape or vector.dtype != base.dtype:
            raise DataError(
                f"the collector's state '{key}' has {vector.size} elements of {vector.dtype},"
                f" the model has {base.size} of {base.dtype}",
                hint="resume with the configuration that wrote the state, or start anew",
            )
        return vector

    def state(self) -> State:
        """Return copies of the vectors, ``<name>.<dtype>``."""
        return {key: vector.copy() for key, vector in self._vectors.items()}

    def restore(self, state: State) -> None:
        """Take up the vectors in ``state``, copied; what else is in it is left."""
        self._vectors = {
            key: np.array(value)
            for key, value in state.items()
            if key.partition(".")[0] in self._names
        }
