"""Parameters and updates to try a collector with."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from aeros_core.arrays import Array
from aeros_core.messages import Update
from aeros_core.numerics.dtypes import is_real
from aeros_core.parameters import Parameters
from aeros_core.roles.collector import Collector

__all__ = ["Drawn", "difference", "sealed"]


class Drawn:
    """What the parts of a collector's contract are tried with; see `collector.CollectorTests`."""

    linear: ClassVar[bool] = False
    fixed_point: ClassVar[bool] = True
    symmetric: ClassVar[bool] = True
    least: ClassVar[int] = 1
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64", "int64")
    tolerance: ClassVar[float] = 1e-5

    def make(self) -> Collector:
        """Return a new collector; every call the same."""
        raise NotImplementedError

    def parameters(self, rng: np.random.Generator, size: int = 20) -> Parameters:
        """Return parameters with ``size`` numbers of every dtype, as two tensors each."""
        tensors = {}
        for dtype in self.dtypes:
            for name, shape in (("weight", (size // 4, 2)), ("bias", (size - size // 4 * 2,))):
                tensors[f"{dtype}.{name}"] = _draw(rng, dtype, shape)
        return sealed(Parameters.of(tensors))

    def updates(self, rng: np.random.Generator, count: int) -> list[Update]:
        """Return full updates of random parameters and examples, their vectors read-only."""
        return [
            Update(
                f"node-{i}",
                1,
                self.parameters(rng),
                int(rng.integers(1, 100)),
                {"loss": float(rng.uniform(0.1, 2.0))},
            )
            for i in range(self.least + count)
        ]

    def assert_close(self, here: Parameters, there: Parameters) -> None:
        """Check that parameters are equal but for rounding; integers by one at most."""
        assert here.layout == there.layout
        for dtype, vector in here.vectors.items():
            limit = self.tolerance if np.dtype(dtype).kind == "f" else 1.0
            np.testing.assert_allclose(
                np.asarray(vector, np.float64),
                np.asarray(there.vectors[dtype], np.float64),
                rtol=self.tolerance,
                atol=limit,
                err_msg=dtype,
            )


def _draw(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> Array:
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 100, shape).astype(dtype)


def sealed(parameters: Parameters) -> Parameters:
    """Return the same parameters, whose vectors can be read only."""
    for vector in parameters.vectors.values():
        vector.flags.writeable = False
    return parameters


def difference(update: Update, start: Parameters) -> Update:
    """Return an update as the difference to what it started from; integers as they are."""
    vectors = {
        dtype: vector - start.vectors[dtype] if is_real(dtype) else vector.copy()
        for dtype, vector in update.parameters.vectors.items()
    }
    return replace(update, parameters=sealed(Parameters(start.layout, vectors)), delta=True)
