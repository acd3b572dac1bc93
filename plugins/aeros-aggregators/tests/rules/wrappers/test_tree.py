"""Trees of collectors give what the flat rule gives, where that is linear."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeros_aggregators.rules.adaptive import FedAdam
from aeros_aggregators.rules.control_variates import Scaffold
from aeros_aggregators.rules.fedavg import FedAvg, FedAvgM, FedProx
from aeros_aggregators.rules.fednova import FedNova
from aeros_aggregators.rules.krum import Krum
from aeros_aggregators.rules.wrappers.tree import Relay, Tree
from aeros_core.errors import ConfigError, TaskError
from aeros_core.messages import Update
from aeros_core.parameters import Parameters
from aeros_core.roles.collector import Collector
from aeros_core.testing import CollectorTests


def fedavg():
    return FedAvg(personal=())


FLAT = {
    "fedavg": fedavg,
    "fedavgm": lambda: FedAvgM(server_lr=0.7, momentum=0.9, personal=()),
    "fedprox": lambda: FedProx(mu=0.1, personal=()),
    "fedadam": lambda: FedAdam(server_lr=0.1, beta1=0.9, beta2=0.99, tau=1e-3, personal=()),
    "fednova": lambda: FedNova(server_lr=1.0, personal=()),
}


class TestTree(CollectorTests):
    linear = True

    def make(self) -> Collector:
        return Tree(rule=fedavg, outer=fedavg, groups=2)


class TestTreeWithStates(CollectorTests):
    fixed_point = False

    def make(self) -> Collector:
        return Tree(rule=FLAT["fedavgm"], outer=FLAT["fedadam"], groups=3)


def drawn(seed, clients, size=50):
    rng = np.random.default_rng(seed)
    start = Parameters.of({"w": rng.standard_normal(size).astype(np.float32)})
    updates = [
        Update(
            f"node-{i}",
            1,
            Parameters.of({"w": rng.standard_normal(size).astype(np.float32)}),
            int(rng.integers(1, 1000)),
            {"loss": float(i)},
            {"steps": 5.0, "lr": 0.1},
        )
        for i in range(clients)
    ]
    return start, updates


@pytest.mark.parametrize("name", FLAT)
@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    clients=st.integers(1, 30),
    groups=st.integers(1, 7),
    differences=st.booleans(),
)
def test_a_tree_of_means_is_the_flat_rule(name, seed, clients, groups, differences):
    start, updates = drawn(seed, clients)
    if differences:
        vectors = [u.parameters.vector - start.vector for u in updates]
        changes = [Parameters(start.layout, {"float32": v}) for v in vectors]
        pairs = zip(updates, changes, strict=True)
        updates = [replace(update, parameters=change, delta=True) for update, change in pairs]
    expected = FLAT[name]().aggregate(start, updates)
    result = Tree(rule=fedavg, outer=FLAT[name], groups=groups).aggregate(start, iter(updates))
    np.testing.assert_allclose(result.vector, expected.vector, rtol=1e-6, atol=1e-6)


def test_trees_of_trees_stay_within_their_bound():
    start, updates = drawn(1, 64, size=2000)
    exact = np.average(
        [u.parameters.vector.astype(np.float64) for u in updates],
        axis=0,
        weights=[u.examples for u in updates],
    )
    level, largest = updates, np.zeros(start.vector.size)
    for depth in range(1, 7):
        halves = [level[i : i + 2] for i in range(0, len(level), 2)]
        relays = [Relay(f"relay-{depth}-{i}", fedavg()) for i in range(len(halves))]
        level = [r.forward(1, start, h) for r, h in zip(relays, halves, strict=True)]
        largest += 2.0**-24 * np.max([np.abs(u.parameters.vector) for u in level], axis=0)
    [root] = level
    assert root.examples == sum(u.examples for u in updates)
    assert (np.abs(root.parameters.vector - exact) <= largest * (1 + 1e-6)).all()


def test_a_relay_weighs_figures_by_examples():
    start, updates = drawn(0, 3)
    updates[0] = replace(updates[0], scalars={"steps": 9.0, "lr": 0.1, "reach": 20.0})
    n = [u.examples for u in updates]
    sent = Relay("edge", fedavg()).forward(4, start, iter(updates))
    assert (sent.node, sent.round, sent.examples, sent.delta) == ("edge", 4, sum(n), False)
    assert sent.metrics["loss"] == pytest.approx((n[1] + 2 * n[2]) / sum(n))
    assert sent.scalars["steps"] == pytest.approx((9 * n[0] + 5 * (n[1] + n[2])) / sum(n))
    assert sent.scalars["reach"] == 20.0


def test_a_relay_without_updates_sends_none():
    start, _ = drawn(0, 1)
    assert Relay("edge", fedavg()).forward(1, start, iter(())) is None


def test_a_node_is_always_in_the_same_group():
    start, updates = drawn(2, 12)
    tree = Tree(
        rule=lambda: Scaffold(server_lr=1.0, clients=0, personal=()), outer=fedavg, groups=3
    )
    tree.aggregate(start, updates)
    owners = {name for name in tree.state() if name.endswith("nodes")}
    assert owners == {"group-0.nodes", "group-1.nodes", "group-2.nodes"}
    told = [tree.broadcast_to(2, u.node).vectors["drift"] for u in updates]
    groups = {
        vector.tobytes()
        for vector in (tree.broadcast_to(2, f"new-{i}").vectors["drift"] for i in range(30))
    }
    assert len(groups) == 3
    assert len({vector.tobytes() for vector in told}) == 12


def test_both_levels_announce_what_they_want():
    tree = Tree(
        rule=lambda: FedProx(mu=0.3, personal=["head", "tail"]),
        outer=lambda: FedAvg(personal=["head"]),
        groups=2,
    )
    told = tree.broadcast(1)
    assert (told.scalars, told.personal) == ({"proximal_mu": 0.3}, ("head", "tail"))


def test_what_goes_wrong_in_a_group_comes_out():
    start, updates = drawn(3, 20)
    tree = Tree(rule=lambda: Krum(byzantine=9, personal=()), outer=fedavg, groups=2)
    with pytest.raises(TaskError, match=r"collector\.rule\.byzantine=9 needs 21 updates"):
        tree.aggregate(start, iter(updates))


def test_what_goes_wrong_on_the_way_ends_the_groups():
    start, updates = drawn(4, 5)

    def broken():
        yield from updates
        raise TaskError("the line is dead")

    with pytest.raises(TaskError, match="the line is dead"):
        Tree(rule=fedavg, outer=fedavg, groups=2).aggregate(start, broken())


def test_bad_number_of_groups_is_refused():
    with pytest.raises(ConfigError) as caught:
        Tree(rule=fedavg, outer=fedavg, groups=0)
    told = "collector.groups=0".replace("=", f" must be {caught.value.exists}, got ", 1)
    assert caught.value.asked == told


@pytest.mark.parametrize(
    ("held", "named"),
    [({"rule": True}, "collector.rule.mu=-1.0"), ({"outer": True}, "collector.outer.mu=-1.0")],
)
def test_a_bad_option_of_a_rule_is_named_as_it_is_typed(held, named):
    rules = {"rule": fedavg, "outer": fedavg} | dict.fromkeys(
        held, lambda: FedProx(mu=-1.0, personal=())
    )
    with pytest.raises(ConfigError) as caught:
        Tree(**rules, groups=2)
    told = f"{named}".replace("=", f" must be {caught.value.exists}, got ", 1)
    assert caught.value.asked == told


def test_what_goes_wrong_at_the_parent_names_its_options():
    start, updates = drawn(3, 20)
    tree = Tree(rule=fedavg, outer=lambda: Krum(byzantine=9, personal=()), groups=2)
    with pytest.raises(TaskError, match=r"collector\.outer\.byzantine=9 needs 21 updates"):
        tree.aggregate(start, iter(updates))
