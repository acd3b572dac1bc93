"""Coordinate-wise robust rules: the contract, flwr as the oracle, and attackers."""

from __future__ import annotations

import numpy as np
import pytest

from aeros_aggregators.robust import Median
from aeros_core.roles import Collector
from aeros_core.testing import CollectorTests

LARGE = 150_001


class TestMedian(CollectorTests):
    def make(self) -> Collector:
        return Median()


class TestMedianOfEveryDtype(CollectorTests):
    dtypes = ("float16", "float32", "float64", "int8", "int64")
    tolerance = 5e-3

    def make(self) -> Collector:
        return Median()


@pytest.mark.parametrize(
    ("size", "clients"), [(1000, 1), (1000, 7), (1000, 200), (LARGE, 5), (LARGE, 10)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("api", ["legacy", "current"])
def test_median_agrees_with_flwr(flower, draw, api, dtype, size, clients):
    start, rounds = draw(dtype=dtype, size=size, clients=clients, rounds=1)
    [theirs] = getattr(flower, api)("FedMedian", start, rounds)
    result = Median().aggregate(start, iter(rounds[0]))
    for name, tensor in result.items():
        np.testing.assert_allclose(tensor, theirs[name], rtol=1e-6, atol=1e-6)
