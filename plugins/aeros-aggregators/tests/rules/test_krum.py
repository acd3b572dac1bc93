"""Krum, Multi-Krum and Bulyan: the contract, flwr as the oracle, and too few updates."""

from __future__ import annotations

import numpy as np
import pytest

from aeros_aggregators.rules.krum import Bulyan, Krum, MultiKrum
from aeros_core.errors import ConfigError, TaskError
from aeros_core.roles.collector import Collector
from aeros_core.testing import CollectorTests


class TestKrum(CollectorTests):
    least = 5

    def make(self) -> Collector:
        return Krum(byzantine=1, personal=())


class TestMultiKrum(CollectorTests):
    least = 7

    def make(self) -> Collector:
        return MultiKrum(byzantine=2, keep=0, personal=())


class TestBulyan(CollectorTests):
    least = 7
    symmetric = False  # of the last two left, each is the other's neighbour: the first is taken

    def make(self) -> Collector:
        return Bulyan(byzantine=1, personal=())


class TestBulyanOfEveryDtype(CollectorTests):
    least = 7
    symmetric = False
    dtypes = ("float32", "int8")

    def make(self) -> Collector:
        return Bulyan(byzantine=1, personal=())


def assert_agree(result, theirs, tolerance=1e-6):
    for name, tensor in result.items():
        np.testing.assert_allclose(tensor, theirs[name], rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("clients", [7, 30])
@pytest.mark.parametrize("byzantine", [0, 2])
@pytest.mark.parametrize("api", ["legacy", "current"])
def test_krum_agrees_with_flwr(flower, draw, api, byzantine, clients):
    start, rounds = draw(clients=clients, rounds=1)
    options = {"num_malicious_clients": byzantine}
    if api == "current":
        options = {"num_malicious_nodes": byzantine}
    [theirs] = getattr(flower, api)("Krum", start, rounds, **options)
    result = Krum(byzantine=byzantine, personal=()).aggregate(start, iter(rounds[0]))
    assert_agree(result, theirs)
    assert result.digest in {update.parameters.digest for update in rounds[0]}


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("clients", [7, 9])
@pytest.mark.parametrize(("byzantine", "keep"), [(0, 3), (2, 5)])
@pytest.mark.parametrize("api", ["legacy", "current"])
def test_multikrum_agrees_with_flwr(flower, draw, api, byzantine, keep, clients):
    start, rounds = draw(clients=clients, rounds=1)
    if api == "current":
        options = {"num_malicious_nodes": byzantine, "num_nodes_to_select": keep}
        [theirs] = flower.current("MultiKrum", start, rounds, **options)
    else:
        options = {"num_malicious_clients": byzantine, "num_clients_to_keep": keep}
        [theirs] = flower.legacy("Krum", start, rounds, **options)
    result = MultiKrum(byzantine=byzantine, keep=keep, personal=()).aggregate(
        start, iter(rounds[0])
    )
    assert_agree(result, theirs)


def test_multikrum_keeps_all_but_the_byzantine_by_default(draw):
    start, rounds = draw(clients=9, rounds=1)
    by_default = MultiKrum(byzantine=2, keep=0, personal=()).aggregate(start, rounds[0])
    assert (
        by_default.digest
        == MultiKrum(byzantine=2, keep=7, personal=()).aggregate(start, rounds[0]).digest
    )


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(("clients", "byzantine"), [(7, 1), (24, 3), (8, 0)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bulyan_agrees_with_flwr_legacy(flower, draw, dtype, clients, byzantine):
    # flwr.serverapp.strategy chooses in one pass of Multi-Krum, which is not the paper's rule
    start, rounds = draw(dtype=dtype, clients=clients, rounds=1)
    options = {"num_malicious_clients": byzantine, "to_keep": 0}
    [theirs] = flower.legacy("Bulyan", start, rounds, **options)
    result = Bulyan(byzantine=byzantine, personal=()).aggregate(start, iter(rounds[0]))
    assert_agree(result, theirs)


@pytest.mark.parametrize(
    ("make", "needed"),
    [
        (lambda: Krum(byzantine=2, personal=()), 7),
        (lambda: MultiKrum(byzantine=2, keep=1, personal=()), 7),
        (lambda: Bulyan(byzantine=2, personal=()), 11),
    ],
)
def test_too_few_updates_are_refused(draw, make, needed):
    start, rounds = draw(clients=needed, rounds=1)
    make().aggregate(start, rounds[0])
    with pytest.raises(TaskError) as caught:
        make().aggregate(start, rounds[0][1:])
    assert caught.value.asked == (
        f"collector.byzantine=2 needs {needed} updates in a round, this one has {needed - 1}"
    )
    assert f"task.quorum={needed}" in caught.value.hint


@pytest.mark.parametrize(
    ("make", "asked"),
    [
        (lambda: Krum(byzantine=-1, personal=()), "collector.byzantine=-1"),
        (lambda: Bulyan(byzantine=-1, personal=()), "collector.byzantine=-1"),
        (lambda: MultiKrum(byzantine=1, keep=-2, personal=()), "collector.keep=-2"),
        (lambda: MultiKrum(byzantine=-1, keep=2, personal=()), "collector.byzantine=-1"),
    ],
)
def test_bad_options_are_refused(make, asked):
    with pytest.raises(ConfigError) as caught:
        make()
    told = f"{asked}".replace("=", f" must be {caught.value.exists}, got ", 1)
    assert caught.value.asked == told
    assert caught.value.exists == "0 or more"
