"""FedNova: the contract, and the paper's equations as the oracle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aeros_aggregators.rules.fedavg import FedAvg
from aeros_aggregators.rules.fednova import FedNova
from aeros_core.errors import ConfigError, DataError
from aeros_core.roles.collector import Collector
from aeros_core.testing import CollectorTests


class Reporting(CollectorTests):
    """Feeds the kit's updates to rules that go by what trainers report."""

    __test__ = False

    def updates(self, rng, count):
        return [
            replace(update, scalars={"steps": float(rng.integers(1, 9)), "lr": 0.1})
            for update in super().updates(rng, count)
        ]


class TestFedNova(Reporting):
    __test__ = True
    linear = True
    fixed_point = False

    def make(self) -> Collector:
        return FedNova(server_lr=1.0, personal=())


def norm_of_a(steps, rho):
    """Wang et al. (2020), section 4: the norm of a_i of SGD with momentum rho."""
    return sum((1 - rho ** (steps - j)) / (1 - rho) for j in range(steps))


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("rho", [0.0, 0.9])
@pytest.mark.parametrize("rate", [1.0, 0.4])
def test_fednova_agrees_with_the_paper(draw, rate, rho):
    start, rounds = draw(rounds=1)
    rng = np.random.default_rng(1)
    steps = rng.integers(1, 30, len(rounds[0]))
    updates = []
    for i, (update, taken) in enumerate(zip(rounds[0], steps, strict=True)):
        scalars = {"steps": float(taken), "lr": 0.1}
        if rho or i % 2:  # plain SGD's reach is its steps, said or not
            scalars["reach"] = norm_of_a(int(taken), rho)
        updates.append(replace(update, scalars=scalars))
    # section 5 with tau_eff = sum_i p_i |a_i|_1
    base = start.vector.astype(np.float64)
    p = np.array([update.examples for update in updates])
    p = p / p.sum()
    reach = np.array([norm_of_a(int(taken), rho) for taken in steps])
    directions = [(u.parameters.vector - base) / a for u, a in zip(updates, reach, strict=True)]
    expected = base + rate * (p @ reach) * (p @ np.array(directions))
    result = FedNova(server_lr=rate, personal=()).aggregate(start, iter(updates))
    np.testing.assert_allclose(result.vector, expected, rtol=1e-6, atol=2e-6)


def test_equal_steps_are_fedavg(draw):
    start, rounds = draw(rounds=1)
    same = [replace(update, scalars={"steps": 5.0}) for update in rounds[0]]
    expected = FedAvg(personal=()).aggregate(start, same)
    result = FedNova(server_lr=1.0, personal=()).aggregate(start, same)
    np.testing.assert_allclose(result.vector, expected.vector, rtol=1e-6, atol=1e-6)


def test_a_trainer_that_does_not_report_is_named(draw):
    start, rounds = draw(rounds=1)
    with pytest.raises(DataError) as caught:
        FedNova(server_lr=1.0, personal=()).aggregate(start, rounds[0])
    assert caught.value.asked == (
        "the update of node 'node-0' has no 'steps' above 0, which collector=fednova goes by"
    )


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_that_is_not_above_0_is_refused(rate):
    with pytest.raises(ConfigError) as caught:
        FedNova(server_lr=rate, personal=())
    assert caught.value.asked.startswith("collector.server_lr")
    assert str(rate) in caught.value.asked
    assert "above 0" in str(caught.value)
