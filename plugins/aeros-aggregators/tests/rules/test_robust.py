"""Median and trimmed mean: the contract, and flwr as the oracle."""

from __future__ import annotations

import numpy as np
import pytest

from aeros_aggregators.rules.robust import Median, TrimmedMean
from aeros_core.errors import ConfigError
from aeros_core.messages import Update
from aeros_core.parameters import Parameters
from aeros_core.roles.collector import Collector
from aeros_core.testing import CollectorTests

EVERY_DTYPE = ("float16", "float32", "float64", "int8", "int64")


class TestMedian(CollectorTests):
    def make(self) -> Collector:
        return Median(personal=())


class TestTrimmedMean(CollectorTests):
    def make(self) -> Collector:
        return TrimmedMean(trim=0.2, personal=())


class TestTrimmedMeanOfEveryDtype(CollectorTests):
    dtypes = EVERY_DTYPE
    tolerance = 5e-3

    def make(self) -> Collector:
        return TrimmedMean(trim=0.3, personal=())


def test_trim_of_029_among_100_updates_leaves_out_29_at_each_end():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(100, 7)) ** 3
    start = Parameters.of({"w": np.zeros(7)})
    updates = [Update(f"n{i}", 1, Parameters.of({"w": row}), 1) for i, row in enumerate(rows)]
    found = TrimmedMean(trim=0.29, personal=()).aggregate(start, updates)
    wanted = np.sort(rows, axis=0)[29:71].mean(axis=0)
    np.testing.assert_allclose(found["w"], wanted, rtol=1e-12)


CLIENTS = [1, 10, 200]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("clients", CLIENTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("api", ["legacy", "current"])
def test_median_agrees_with_flwr(flower, draw, api, dtype, clients):
    start, rounds = draw(dtype=dtype, clients=clients, rounds=1)
    [theirs] = getattr(flower, api)("FedMedian", start, rounds)
    result = Median(personal=()).aggregate(start, iter(rounds[0]))
    for name, tensor in result.items():
        np.testing.assert_allclose(tensor, theirs[name], rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("clients", CLIENTS)
@pytest.mark.parametrize("trim", [0.0, 0.25])
@pytest.mark.parametrize("api", ["legacy", "current"])
def test_trimmed_mean_agrees_with_flwr(flower, draw, api, trim, clients):
    start, rounds = draw(clients=clients, rounds=1)
    [theirs] = getattr(flower, api)("FedTrimmedAvg", start, rounds, beta=trim)
    result = TrimmedMean(trim=trim, personal=()).aggregate(start, iter(rounds[0]))
    for name, tensor in result.items():
        np.testing.assert_allclose(tensor, theirs[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("trim", [-0.1, 0.5])
def test_bad_trim_is_refused(trim):
    with pytest.raises(ConfigError) as caught:
        TrimmedMean(trim=trim, personal=())
    told = f"collector.trim={trim}".replace("=", f" must be {caught.value.exists}, got ", 1)
    assert caught.value.asked == told
    assert caught.value.exists == "0 to below 0.5"
