"""FedAvg, FedProx and FedAvgM: the contract, flwr as the oracle, and bad options."""

from __future__ import annotations

import numpy as np
import pytest

from aeros_aggregators.rules.fedavg import FedAvg, FedAvgM, FedProx
from aeros_core.errors import ConfigError, DataError
from aeros_core.messages import Update
from aeros_core.parameters import Parameters
from aeros_core.roles.collector import Collector, SupportsBroadcast
from aeros_core.roles.stateful import SupportsState
from aeros_core.testing import CollectorTests

DTYPES = ("float16", "float32", "float64", "int8", "int64")


class TestFedAvg(CollectorTests):
    linear = True

    def make(self) -> Collector:
        return FedAvg(personal=())


class TestFedAvgOfEveryDtype(CollectorTests):
    linear = True
    dtypes = DTYPES
    tolerance = 5e-3  # float16

    def make(self) -> Collector:
        return FedAvg(personal=())


class TestFedProx(CollectorTests):
    linear = True

    def make(self) -> Collector:
        return FedProx(mu=0.1, personal=())


class TestFedAvgM(CollectorTests):
    linear = True
    fixed_point = False

    def make(self) -> Collector:
        return FedAvgM(server_lr=0.7, momentum=0.9, personal=())


def run(collector, start, rounds):
    here, results = start, []
    for updates in rounds:
        here = collector.aggregate(here, iter(updates))
        results.append(here)
    return results


def assert_agree(ours, theirs, tolerance=1e-6):
    assert len(ours) == len(theirs) > 0
    for mine, other in zip(ours, theirs, strict=True):
        for name, tensor in mine.items():
            np.testing.assert_allclose(tensor, other[name], rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("api", ["legacy", "current"])
@pytest.mark.parametrize("clients", [1, 8, 13])
def test_fedavg_agrees_with_flwr(flower, draw, api, dtype, clients):
    start, rounds = draw(dtype=dtype, clients=clients, rounds=1)
    assert_agree(
        run(FedAvg(personal=()), start, rounds), getattr(flower, api)("FedAvg", start, rounds)
    )


@pytest.mark.parametrize("api", ["legacy", "current"])
def test_fedprox_aggregates_as_flwr_does(flower, draw, api):
    start, rounds = draw(rounds=1)
    theirs = getattr(flower, api)("FedProx", start, rounds, proximal_mu=0.1)
    assert_agree(run(FedProx(mu=0.1, personal=()), start, rounds), theirs)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("api", ["legacy", "current"])
@pytest.mark.parametrize(("rate", "momentum"), [(1.0, 0.9), (0.5, 0.0), (0.3, 0.5)])
def test_fedavgm_agrees_with_flwr(flower, draw, api, dtype, rate, momentum):
    start, rounds = draw(dtype=dtype)
    options = {"server_learning_rate": rate, "server_momentum": momentum}
    theirs = getattr(flower, api)("FedAvgM", start, rounds, **options)
    assert_agree(
        run(FedAvgM(server_lr=rate, momentum=momentum, personal=()), start, rounds), theirs
    )


def test_fedprox_announces_mu():
    collector = FedProx(mu=0.3, personal=())
    assert isinstance(collector, SupportsBroadcast)
    assert collector.broadcast(4).scalars == {"proximal_mu": 0.3}


def test_only_what_has_a_state_says_so():
    assert isinstance(FedAvgM(server_lr=1.0, momentum=0.9, personal=()), SupportsState)
    assert not isinstance(FedAvg(personal=()), SupportsState)


@pytest.mark.usefixtures("engine")
def test_mean_of_many_float32_updates_loses_no_bit():
    size = 100
    rng = np.random.default_rng(5)
    start = Parameters.of({"w": np.zeros(size, np.float32)})
    shift = 100.0 + rng.standard_normal(size)
    made = []
    exact = np.zeros(size)

    def updates():
        for i in range(300):
            vector = (shift + 1e-3 * rng.standard_normal(size)).astype(np.float32)
            np.add(exact, vector, out=exact)
            made.append(i)
            yield Update(f"n{i}", 1, Parameters.of({"w": vector}), 1)

    result = FedAvg(personal=()).aggregate(start, updates())
    assert len(made) == 300
    np.testing.assert_array_equal(result["w"], (exact / 300).astype(np.float32))


def test_integers_are_rounded_to_the_nearest():
    start = Parameters.of({"n": np.array([5, 5, 5, 5])})
    values = np.array([[0, 10, 1, -3], [1, 10, 2, -4]])
    updates = [
        Update(f"n{i}", 1, Parameters.of({"n": v}), e)
        for i, (v, e) in enumerate(zip(values, (1, 3), strict=True))
    ]
    result = FedAvg(personal=()).aggregate(start, updates)
    assert result["n"].tolist() == [1, 10, 2, -4]


def test_update_of_another_layout_is_refused(draw):
    start, _ = draw(size=99)
    other = Parameters.of({"w": np.zeros(3, np.float32)})
    with pytest.raises(DataError) as caught:
        FedAvg(personal=()).aggregate(start, [Update("node-7", 1, other, 1)])
    assert str(caught.value).splitlines()[0] == (
        "the update of node 'node-7' has another layout than the parameters"
    )
    assert "exists: tensors weight, bias" in str(caught.value)


def test_state_of_another_model_is_refused(draw):
    start, rounds = draw(size=99)
    small, _ = draw(size=30)
    collector = FedAvgM(server_lr=1.0, momentum=0.9, personal=())
    collector.aggregate(start, rounds[0])
    other = FedAvgM(server_lr=1.0, momentum=0.9, personal=())
    other.restore(collector.state())
    with pytest.raises(DataError) as caught:
        other.aggregate(small, [Update("a", 1, small, 1)])
    assert str(caught.value).splitlines()[0] == (
        "the collector's state 'momentum.float32' has 99 elements of float32,"
        " the model has 30 of float32"
    )


@pytest.mark.parametrize(
    ("make", "asked", "allowed"),
    [
        (lambda: FedProx(mu=-1.0, personal=()), "collector.mu=-1.0", "0 or more"),
        (
            lambda: FedAvgM(server_lr=0.0, momentum=0.5, personal=()),
            "collector.server_lr=0.0",
            "above 0",
        ),
        (
            lambda: FedAvgM(server_lr=1.0, momentum=1.0, personal=()),
            "collector.momentum=1.0",
            "0 to below 1",
        ),
        (lambda: FedProx(mu=float("nan"), personal=()), "collector.mu=nan", "0 or more"),
    ],
)
def test_bad_options_are_refused(make, asked, allowed):
    with pytest.raises(ConfigError) as caught:
        make()
    told = f"{asked}".replace("=", f" must be {caught.value.exists}, got ", 1)
    assert caught.value.asked == told
    assert caught.value.exists == allowed
    assert "aeros-aggregators" in str(caught.value)
