"""SCAFFOLD and FedDyn: the contract, and ten lines of each paper as the oracle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aeros_aggregators.rules.control_variates import FedDyn, Scaffold
from aeros_aggregators.rules.fedavg import FedAvg
from aeros_core.errors import ConfigError, DataError
from aeros_core.messages import Update
from aeros_core.parameters import Parameters
from aeros_core.roles.collector import Collector, SupportsPerNodeBroadcast
from aeros_core.testing import CollectorTests

NODES, STEPS, LR, SIZE = 6, 4, 0.05, 5
ROUNDS = [(0, 3), (1, 2, 3), (0, 1, 2, 3, 4, 5), (5, 0)]


class Reporting(CollectorTests):
    """Feeds the kit's updates to rules that go by what trainers report."""

    __test__ = False

    def updates(self, rng, count):
        return [
            replace(update, scalars={"steps": float(rng.integers(1, 9)), "lr": 0.1})
            for update in super().updates(rng, count)
        ]


class TestScaffold(Reporting):
    __test__ = True
    linear = True

    def make(self) -> Collector:
        return Scaffold(server_lr=1.0, clients=0, personal=())


class TestScaffoldThatGoesFurther(Reporting):
    __test__ = True
    linear = True
    fixed_point = False

    def make(self) -> Collector:
        return Scaffold(server_lr=1.5, clients=400, personal=())


class TestFedDyn(CollectorTests):
    linear = True
    fixed_point = False

    def make(self) -> Collector:
        return FedDyn(alpha=0.5, clients=0, personal=())


class Quadratic:
    """Node i's loss is half a_i |w - b_i|^2: gradients and optima by hand."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.a = rng.uniform(0.5, 2.0, NODES)
        self.b = rng.standard_normal((NODES, SIZE))

    def gradient(self, i, w):
        return self.a[i] * (w - self.b[i])

    def sgd(self, i, x, drift, mu=0.0, steps=STEPS):
        w = x.copy()
        for _ in range(steps):
            w -= LR * (self.gradient(i, w) + drift + mu * (w - x))
        return w

    @property
    def optimum(self):
        return self.a @ self.b / self.a.sum()


def scaffold_of_the_paper(problem, rounds, rate, clients=NODES):
    """Karimireddy et al. (2020), algorithm 1 with option II."""
    x, c, own = np.zeros(SIZE), np.zeros(SIZE), np.zeros((NODES, SIZE))
    for cohort in rounds:
        moved, differences = [], []
        for i in cohort:
            y = problem.sgd(i, x, c - own[i])
            new = own[i] - c + (x - y) / (STEPS * LR)
            moved.append(y - x)
            differences.append(new - own[i])
            own[i] = new
        x = x + rate * np.mean(moved, axis=0)
        c = c + len(cohort) / clients * np.mean(differences, axis=0)
    return x


def feddyn_of_the_paper(problem, rounds, alpha, clients=NODES):
    """Acar et al. (2021), algorithm 1; nodes take steps instead of solving exactly."""
    x, h, gradient = np.zeros(SIZE), np.zeros(SIZE), np.zeros((NODES, SIZE))
    for cohort in rounds:
        thetas = []
        for i in cohort:
            theta = problem.sgd(i, x, -gradient[i], mu=alpha)
            gradient[i] = gradient[i] - alpha * (theta - x)
            thetas.append(theta)
        h = h - alpha / clients * np.sum([theta - x for theta in thetas], axis=0)
        x = np.mean(thetas, axis=0) - h / alpha
    return x


def run(collector, problem, rounds, *, delta=False, examples=7, told_mu=0.0):
    """Train as a node does that honours ``drift`` and ``proximal_mu``."""
    here = Parameters.of({"w": np.zeros(SIZE, np.float32)})
    for number, cohort in enumerate(rounds, 1):
        mu = collector.broadcast(number).scalars.get("proximal_mu", 0.0)
        assert mu == told_mu
        updates = []
        for i in cohort:
            drift = collector.broadcast_to(number, f"n{i}").vectors.get("drift", np.zeros(SIZE))
            x = here.vector.astype(np.float64)
            y = problem.sgd(i, x, drift, mu)
            sent = Parameters.of({"w": (y - x if delta else y).astype(np.float32)})
            scalars = {"steps": STEPS, "lr": LR, "reach": STEPS}
            updates.append(Update(f"n{i}", number, sent, examples, {}, scalars, delta=delta))
        here = collector.aggregate(here, iter(updates))
    return here.vector


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("delta", [False, True])
@pytest.mark.parametrize(("rate", "clients"), [(1.0, NODES), (0.7, NODES), (1.0, 20)])
def test_scaffold_agrees_with_the_paper(rate, clients, delta):
    problem = Quadratic()
    expected = scaffold_of_the_paper(problem, ROUNDS, rate, clients)
    collector = Scaffold(server_lr=rate, clients=clients, personal=())
    np.testing.assert_allclose(run(collector, problem, ROUNDS, delta=delta), expected, atol=2e-6)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("delta", [False, True])
@pytest.mark.parametrize(("alpha", "clients"), [(1.0, NODES), (3.0, NODES), (1.0, 20)])
def test_feddyn_agrees_with_the_paper(alpha, clients, delta):
    problem = Quadratic()
    expected = feddyn_of_the_paper(problem, ROUNDS, alpha, clients)
    collector = FedDyn(alpha=alpha, clients=clients, personal=())
    result = run(collector, problem, ROUNDS, delta=delta, told_mu=alpha)
    np.testing.assert_allclose(result, expected, atol=5e-6)


@pytest.mark.parametrize(
    ("make", "mu"),
    [
        (lambda: Scaffold(server_lr=1.0, clients=0, personal=()), 0.0),
        (lambda: FedDyn(alpha=1.0, clients=0, personal=()), 1.0),
    ],
)
def test_they_reach_the_optimum_that_averaging_misses(make, mu):
    problem, everybody = Quadratic(3), [range(NODES)] * 150
    corrected = run(make(), problem, everybody, told_mu=mu)
    np.testing.assert_allclose(corrected, problem.optimum, atol=1e-4)
    here = np.zeros(SIZE)
    for cohort in everybody:
        here = np.mean([problem.sgd(i, here, 0.0) for i in cohort], axis=0)
    assert np.abs(here - problem.optimum).max() > 1e-2


def test_a_momentum_is_taken_out_of_a_control_variate(draw):
    # a change that momentum made twice as long tells of the same gradient
    start, rounds = draw(rounds=1)
    plain = [replace(u, scalars={"steps": 4, "lr": 0.1}) for u in rounds[0]]
    pushed = [replace(u, scalars={"steps": 4, "lr": 0.05, "reach": 8}) for u in rounds[0]]
    drifts = []
    for updates in (plain, pushed):
        collector = Scaffold(server_lr=1.0, clients=0, personal=())
        collector.aggregate(start, updates)
        drifts.append(collector.broadcast_to(2, "node-1").vectors["drift"])
    np.testing.assert_array_equal(*drifts)


def test_nothing_is_told_before_anything_is_known():
    collector = Scaffold(server_lr=1.0, clients=0, personal=())
    assert isinstance(collector, SupportsPerNodeBroadcast)
    assert not isinstance(FedAvg(personal=()), SupportsPerNodeBroadcast)
    assert collector.broadcast_to(1, "a").vectors == {}
    assert FedDyn(alpha=1.0, clients=0, personal=()).broadcast_to(1, "a").vectors == {}


def test_a_new_node_is_told_the_mean_and_a_known_one_its_difference(draw):
    start, rounds = draw(rounds=1, clients=2)
    collector = Scaffold(server_lr=1.0, clients=0, personal=())
    updates = [replace(u, scalars={"steps": 2, "lr": 0.5}, examples=5) for u in rounds[0]]
    collector.aggregate(start, updates)
    own = [start.vector - u.parameters.vector for u in updates]
    told = {node: collector.broadcast_to(2, node).vectors["drift"] for node in ("node-0", "node-9")}
    assert all(vector.dtype == np.float32 for vector in told.values())
    np.testing.assert_allclose(told["node-9"], np.mean(own, axis=0), atol=1e-6)
    np.testing.assert_allclose(told["node-0"], np.mean(own, axis=0) - own[0], atol=1e-6)


def test_what_is_not_trained_is_averaged(draw):
    start, rounds = draw(rounds=1, clients=3, size=99)
    updates = [
        replace(u, scalars={"steps": 1, "lr": 0.1, "trained": 60.0}, examples=5) for u in rounds[0]
    ]
    collector = FedDyn(alpha=0.5, clients=0, personal=())
    result = collector.aggregate(start, updates)
    mean = np.mean([u.parameters.vector.astype(np.float64) for u in updates], axis=0)
    np.testing.assert_allclose(result.vector[60:], mean[60:], atol=1e-6)
    twice = 2 * mean - start.vector  # h is -alpha times the mean change
    np.testing.assert_allclose(result.vector[:60], twice[:60], atol=2e-6)
    assert collector.broadcast_to(2, "node-0").vectors["drift"].shape == (60,)
    for update in updates:
        update.scalars["trained"] = 61.0
    with pytest.raises(DataError, match="60 elements for each node, the model has 61 to train"):
        collector.aggregate(start, updates)


@pytest.mark.parametrize("scalars", [{}, {"lr": 0.1}, {"steps": 3}, {"steps": 0, "lr": 0.1}])
def test_a_trainer_that_does_not_report_is_named(draw, scalars):
    start, rounds = draw(rounds=1)
    missing = "lr" if scalars == {"steps": 3} else "steps"
    updates = [replace(update, scalars=scalars) for update in rounds[0]]
    with pytest.raises(DataError) as caught:
        Scaffold(server_lr=1.0, clients=0, personal=()).aggregate(start, updates)
    assert caught.value.asked == (
        f"the update of node 'node-0' has no '{missing}' above 0, which collector=scaffold goes by"
    )
    assert caught.value.provider == "node-0"
    assert f"Update.scalars['{missing}']" in caught.value.hint


def test_more_nodes_than_there_are_is_refused(draw):
    start, rounds = draw(rounds=1, clients=3)
    with pytest.raises(ConfigError, match=r"collector\.clients=2, but 3 nodes took part"):
        FedDyn(alpha=1.0, clients=2, personal=()).aggregate(start, rounds[0])


def test_a_model_without_float32_is_refused():
    start = Parameters.of({"w": np.zeros(3)})
    with pytest.raises(ConfigError) as caught:
        FedDyn(alpha=1.0, clients=0, personal=()).aggregate(start, [])
    assert caught.value.asked == "the rule corrects float32 parameters, the model has none"


def test_state_of_another_model_is_refused(draw):
    start, rounds = draw(size=99)
    small, _ = draw(size=30)
    collector, other = (FedDyn(alpha=1.0, clients=0, personal=()) for _ in range(2))
    collector.aggregate(start, rounds[0])
    other.restore(collector.state())
    with pytest.raises(DataError) as caught:
        other.aggregate(small, [Update("a", 1, small, 1)])
    assert caught.value.asked == (
        "the collector's state has 99 elements for each node, the model has 30 to train"
    )


@pytest.mark.parametrize(
    ("make", "asked", "allowed"),
    [
        (lambda: Scaffold(server_lr=0.0, clients=0, personal=()), "server_lr=0.0", "above 0"),
        (lambda: Scaffold(server_lr=1.0, clients=-1, personal=()), "clients=-1", "0 or more"),
        (lambda: FedDyn(alpha=0.0, clients=0, personal=()), "alpha=0.0", "above 0"),
    ],
)
def test_bad_options_are_refused(make, asked, allowed):
    with pytest.raises(ConfigError) as caught:
        make()
    told = f"collector.{asked}".replace("=", f" must be {caught.value.exists}, got ", 1)
    assert caught.value.asked == told
    assert caught.value.exists == allowed
