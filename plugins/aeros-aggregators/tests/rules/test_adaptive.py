"""Server optimizers: the contract, flwr as the oracle, and bad options."""

from __future__ import annotations

import numpy as np
import pytest

from aeros_aggregators.rules.adaptive import FedAdagrad, FedAdam, FedYogi
from aeros_core.errors import ConfigError
from aeros_core.roles.collector import Collector
from aeros_core.testing import CollectorTests

OPTIONS = {"personal": (), "server_lr": 0.05, "beta1": 0.8, "beta2": 0.95, "tau": 1e-3}
FLOWER = {"eta": 0.05, "beta_1": 0.8, "beta_2": 0.95, "tau": 1e-3}
EVERY_DTYPE = ("float16", "float32", "float64", "int8")

RULES = {
    "FedAdagrad": lambda: FedAdagrad(server_lr=0.05, tau=1e-2, personal=()),
    "FedAdam": lambda: FedAdam(**OPTIONS),
    "FedYogi": lambda: FedYogi(**OPTIONS),
}


class TestFedAdagrad(CollectorTests):
    linear = True
    fixed_point = False

    def make(self) -> Collector:
        return RULES["FedAdagrad"]()


class TestFedAdam(CollectorTests):
    linear = True
    fixed_point = False

    def make(self) -> Collector:
        return RULES["FedAdam"]()


class TestFedYogi(CollectorTests):
    linear = True
    fixed_point = False

    def make(self) -> Collector:
        return RULES["FedYogi"]()


class TestFedAdamOfEveryDtype(CollectorTests):
    linear = True
    fixed_point = False
    dtypes = EVERY_DTYPE
    tolerance = 0.05  # a difference in float16 divided by its own root

    def make(self) -> Collector:
        return FedAdam(server_lr=0.05, beta1=0.8, beta2=0.95, tau=0.1, personal=())


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("api", ["legacy", "current"])
def test_agrees_with_flwr(flower, draw, rule, api, dtype, tolerance):
    start, rounds = draw(dtype=dtype, rounds=5)
    options = FLOWER
    if rule == "FedAdagrad":
        # its first step is lr * d / (|d| + tau): flwr's float32 error in d, divided by tau
        options = {"eta": 0.05, "tau": 1e-2}
    theirs = getattr(flower, api)(rule, start, rounds, **options)
    collector, here = RULES[rule](), start
    for updates, other in zip(rounds, theirs, strict=True):
        here = collector.aggregate(here, iter(updates))
        for name, tensor in here.items():
            np.testing.assert_allclose(tensor, other[name], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.usefixtures("engine")
def test_restored_state_goes_on_bitwise(draw, rule):
    start, rounds = draw(rounds=4)
    collector, here = RULES[rule](), start
    for updates in rounds[:2]:
        here = collector.aggregate(here, updates)
    other = RULES[rule]()
    other.restore(collector.state())
    there = here
    for updates in rounds[2:]:
        here, there = collector.aggregate(here, updates), other.aggregate(there, updates)
    assert here.digest == there.digest


def test_state_is_named():
    assert sorted(FedAdam(**OPTIONS).state()) == ["rounds"]


BAD = [
    ("server_lr", 0.0, "above 0"),
    ("beta1", 1.0, "0 to below 1"),
    ("beta2", -0.1, "0 to below 1"),
    ("tau", 0.0, "above 0"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), BAD)
@pytest.mark.parametrize("make", [FedAdam, FedYogi])
def test_bad_options_are_refused(make, name, value, allowed):
    with pytest.raises(ConfigError) as caught:
        make(**{**OPTIONS, name: value})
    told = f"collector.{name}={value}".replace("=", f" must be {caught.value.exists}, got ", 1)
    assert caught.value.asked == told
    assert caught.value.exists == allowed


@pytest.mark.parametrize(("name", "value", "allowed"), [BAD[0], BAD[3]])
def test_bad_options_of_fedadagrad_are_refused(name, value, allowed):
    with pytest.raises(ConfigError) as caught:
        FedAdagrad(**{"server_lr": 0.1, "tau": 0.1, name: value}, personal=())
    told = f"collector.{name}={value}".replace("=", f" must be {caught.value.exists}, got ", 1)
    assert caught.value.asked == told
    assert caught.value.exists == allowed
