"""FedAdam: the contract, flwr as the oracle, and bad options."""

from __future__ import annotations

import numpy as np
import pytest

from aeros_aggregators.adaptive import FedAdam
from aeros_core.errors import ConfigError
from aeros_core.roles import Collector
from aeros_core.testing import CollectorTests

LARGE = 150_001
OPTIONS = {"server_lr": 0.05, "beta1": 0.8, "beta2": 0.95, "tau": 1e-3}
FLOWER = {"eta": 0.05, "beta_1": 0.8, "beta_2": 0.95, "tau": 1e-3}


class TestFedAdam(CollectorTests):
    linear = True
    fixed_point = False

    def make(self) -> Collector:
        return FedAdam(**OPTIONS)


class TestFedAdamOfEveryDtype(CollectorTests):
    linear = True
    fixed_point = False
    dtypes = ("float16", "float32", "float64", "int8")
    tolerance = 0.05  # a difference in float16 divided by its own root

    def make(self) -> Collector:
        return FedAdam(server_lr=0.05, beta1=0.8, beta2=0.95, tau=0.1)


@pytest.mark.parametrize("size", [1000, LARGE])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("api", ["legacy", "current"])
def test_fedadam_agrees_with_flwr(flower, draw, api, dtype, tolerance, size):
    start, rounds = draw(dtype=dtype, size=size, rounds=5)
    theirs = getattr(flower, api)("FedAdam", start, rounds, **FLOWER)
    collector, here = FedAdam(**OPTIONS), start
    for updates, other in zip(rounds, theirs, strict=True):
        here = collector.aggregate(here, iter(updates))
        for name, tensor in here.items():
            np.testing.assert_allclose(tensor, other[name], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("size", [100, LARGE])
def test_restored_state_goes_on_bitwise(draw, size):
    start, rounds = draw(size=size, rounds=4)
    collector, here = FedAdam(**OPTIONS), start
    for updates in rounds[:2]:
        here = collector.aggregate(here, updates)
    other = FedAdam(**OPTIONS)
    other.restore(collector.state())
    there = here
    for updates in rounds[2:]:
        here, there = collector.aggregate(here, updates), other.aggregate(there, updates)
    assert here.digest == there.digest
    assert sorted(other.state()) == ["first.float32", "rounds", "second.float32"]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("server_lr", 0.0, "above 0"),
        ("beta1", 1.0, "0 to below 1"),
        ("beta2", -0.1, "0 to below 1"),
        ("tau", 0.0, "above 0"),
    ],
)
def test_bad_options_are_refused(name, value, allowed):
    with pytest.raises(ConfigError) as caught:
        FedAdam(**{**OPTIONS, name: value})
    assert caught.value.asked == f"collector.{name}={value} is not possible"
    assert caught.value.exists == allowed
