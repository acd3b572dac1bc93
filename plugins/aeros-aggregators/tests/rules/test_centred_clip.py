"""Centred clipping: the contract, and the paper's equation as the oracle."""

from __future__ import annotations

import numpy as np
import pytest

from aeros_aggregators.rules.centred_clip import CentredClip
from aeros_aggregators.rules.fedavg import FedAvg
from aeros_core.errors import ConfigError
from aeros_core.messages import Update
from aeros_core.parameters import Parameters
from aeros_core.roles.collector import Collector
from aeros_core.testing import CollectorTests


class TestCentredClip(CollectorTests):
    linear = True
    fixed_point = False

    def make(self) -> Collector:
        return CentredClip(tau=2.0, iterations=1, momentum=0.5, personal=())


class TestCentredClipThatClipsNothing(CollectorTests):
    linear = True

    def make(self) -> Collector:
        return CentredClip(tau=1e6, iterations=1, momentum=0.0, personal=())


class TestCentredClipAgainAndAgain(CollectorTests):
    fixed_point = False

    def make(self) -> Collector:
        return CentredClip(tau=2.0, iterations=3, momentum=0.9, personal=())


def of_the_paper(start, rounds, tau, iterations, beta):
    """Karimireddy et al. (2021), Centered Clipping: v from the last round's, then x by it."""
    x = start.vector.astype(np.float64)
    v = np.zeros_like(x)
    for updates in rounds:
        m = [beta * v + (1 - beta) * (u.parameters.vector - x) for u in updates]
        for _ in range(iterations):
            v = v + np.mean([(a - v) * min(1, tau / np.linalg.norm(a - v)) for a in m], axis=0)
        x = x + v
    return x


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("tau", [5.0, 40.0])
@pytest.mark.parametrize(("iterations", "momentum"), [(1, 0.0), (3, 0.0), (1, 0.9), (3, 0.6)])
def test_centred_clip_agrees_with_the_paper(draw, tau, iterations, momentum):
    start, rounds = draw()
    expected = of_the_paper(start, rounds, tau, iterations, momentum)
    collector = CentredClip(tau=tau, iterations=iterations, momentum=momentum, personal=())
    here = start
    for updates in rounds:
        here = collector.aggregate(here, iter(updates))
    np.testing.assert_allclose(here.vector, expected, rtol=2e-6, atol=2e-6)


def test_without_clipping_it_is_the_mean(draw):
    start, rounds = draw(rounds=1)
    alike = [Update(u.node, 1, u.parameters, 1) for u in rounds[0]]
    expected = FedAvg(personal=()).aggregate(start, alike)
    result = CentredClip(tau=1e9, iterations=1, momentum=0.0, personal=()).aggregate(start, alike)
    np.testing.assert_allclose(result.vector, expected.vector, rtol=1e-6, atol=1e-6)


def test_updates_too_long_for_any_number_are_left_out():
    start = Parameters.of({"w": np.ones(50, np.float32)})
    collector = CentredClip(tau=1.0, iterations=2, momentum=0.5, personal=())
    here = collector.aggregate(start, [Update("a", 1, Parameters.of({"w": start["w"] + 1}), 1)])
    moved = here.vector - start.vector
    huge = Parameters.of({"w": np.full(50, 3e38, np.float32)})
    after = collector.aggregate(here, [Update("a", 1, huge, 1)])
    np.testing.assert_allclose(after.vector - here.vector, moved, rtol=1e-5)


def test_attackers_that_agree_move_it_less_each_round_than_tau():
    start = Parameters.of({"w": np.zeros(50, np.float32)})
    collector = CentredClip(tau=0.1, iterations=1, momentum=0.0, personal=())
    sent = [np.full(50, 1.0, np.float32)] * 8 + [np.full(50, -1e6, np.float32)] * 2
    updates = [Update(f"n{i}", 1, Parameters.of({"w": w}), 1) for i, w in enumerate(sent)]
    result = collector.aggregate(start, updates)
    assert np.linalg.norm(result.vector) == pytest.approx(0.06, rel=1e-5)  # (8 - 2) / 10 tau
    assert (result.vector > 0).all()


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [("tau", 0.0, "above 0"), ("iterations", 0, "1 or more"), ("momentum", 1.0, "0 to below 1")],
)
def test_bad_options_are_refused(option, value, allowed):
    options = {"tau": 1.0, "iterations": 1, "momentum": 0.0, "personal": ()} | {option: value}
    with pytest.raises(ConfigError) as caught:
        CentredClip(**options)
    told = f"collector.{option}={value}".replace("=", f" must be {caught.value.exists}, got ", 1)
    assert caught.value.asked == told
    assert caught.value.exists == allowed
