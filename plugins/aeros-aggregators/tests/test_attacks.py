"""Robust rules stay with the honest clients under attacks that move the mean away."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from aeros_aggregators.geometric import GeometricMedian
from aeros_aggregators.krum import Bulyan, Krum, MultiKrum
from aeros_aggregators.lengths import NormClip
from aeros_aggregators.linear import FedAvg
from aeros_aggregators.robust import Median, TrimmedMean
from aeros_core.messages import Update
from aeros_core.parameters import Parameters

SIZE, HONEST, ATTACKERS = 400, 16, 4
SPREAD = 0.1

RULES = {
    "median": lambda: Median(personal=()),
    "trimmed_mean": lambda: TrimmedMean(trim=0.2, personal=()),
    "krum": lambda: Krum(byzantine=ATTACKERS, personal=()),
    "multikrum": lambda: MultiKrum(byzantine=ATTACKERS, keep=0, personal=()),
    "bulyan": lambda: Bulyan(byzantine=ATTACKERS, personal=()),
    "geometric_median": lambda: GeometricMedian(iterations=10, smoothing=1e-6, personal=()),
    "norm_clip": lambda: NormClip(bound=25.0, personal=()),
}

ATTACKS = {
    # each of honest updates, to what an attacker sends
    "sign flip": lambda honest, rng: -30.0 * honest.mean(axis=0),
    "gaussian": lambda honest, rng: 100.0 * rng.standard_normal(SIZE),
    "inner product": lambda honest, rng: -100.0 * honest.mean(axis=0),
    "huge": lambda honest, rng: np.full(SIZE, 1e30),
}


def updates(attack, seed=0):
    """Honest updates move by about one; attackers come in between."""
    rng = np.random.default_rng(seed)
    honest = 1.0 + SPREAD * rng.standard_normal((HONEST, SIZE))
    sent = [*honest, *(attack(honest, rng) for _ in range(ATTACKERS))]
    order = rng.permutation(len(sent))
    return honest.mean(axis=0), [
        Update(f"n{i}", 1, Parameters.of({"w": sent[i].astype(np.float32)}), 10) for i in order
    ]


def little(honest, rng):
    return honest.mean(axis=0) - 1.5 * honest.std(axis=0)


def distance(rule, attack):
    mean, sent = updates(attack)
    start = Parameters.of({"w": np.zeros(SIZE, np.float32)})
    result = rule().aggregate(start, sent)
    return float(np.sqrt(np.mean((result["w"].astype(np.float64) - mean) ** 2)))


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_mean_is_led_astray(attack):
    assert distance(lambda: FedAvg(personal=()), ATTACKS[attack]) > 5.0


# the geometric median starts from the mean, and a step comes back by a factor of four
CASES = sorted(set(itertools.product(RULES, ATTACKS)) - {("geometric_median", "huge")})


@pytest.mark.parametrize(("rule", "attack"), CASES)
def test_robust_rules_are_not(rule, attack):
    # a fifth of the clients may move the clipped mean by two fifths of the bound at most
    allowed = 0.6 if rule == "norm_clip" else 2 * SPREAD
    assert distance(RULES[rule], ATTACKS[attack]) < allowed


@pytest.mark.parametrize("rule", sorted(set(RULES) - {"norm_clip"}))
def test_small_concerted_lies_do_little(rule):
    # Baruch et al. (2019), A Little Is Enough: all attackers one and a half deviations off
    assert distance(RULES[rule], little) < 2 * SPREAD
