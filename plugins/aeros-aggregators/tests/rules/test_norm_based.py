"""NormClip, FedExP and q-FedAvg: the contract, flwr or the paper as the oracle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aeros_aggregators.rules.fedavg import FedAvg
from aeros_aggregators.rules.norm_based import FedExP, NormClip, QFedAvg
from aeros_core.errors import ConfigError, DataError
from aeros_core.roles.collector import Collector
from aeros_core.testing import CollectorTests


class TestNormClip(CollectorTests):
    linear = True
    fixed_point = False

    def make(self) -> Collector:
        return NormClip(bound=2.0, personal=())


class TestNormClipThatClipsNothing(CollectorTests):
    linear = True

    def make(self) -> Collector:
        return NormClip(bound=1e6, personal=())


class TestFedExP(CollectorTests):
    linear = True
    fixed_point = False

    def make(self) -> Collector:
        return FedExP(epsilon=1e-3, personal=())


class TestQFedAvg(CollectorTests):
    linear = True
    fixed_point = False

    def make(self) -> Collector:
        return QFedAvg(q=0.5, client_lr=0.1, personal=())


def changes(start, updates, dtype="float32"):
    base = start.vectors[dtype].astype(np.float64)
    return base, np.stack([u.parameters.vectors[dtype] - base for u in updates])


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("part", [0.9, 1.0, 1.1])
def test_norm_clip_shortens_what_goes_too_far(draw, part):
    start, rounds = draw(rounds=1)
    base, moved = changes(start, rounds[0])
    lengths = np.linalg.norm(moved, axis=1)
    bound = part * float(np.median(lengths))
    examples = np.array([u.examples for u in rounds[0]])
    clipped = moved * np.minimum(1.0, bound / lengths)[:, None]
    expected = base + np.average(clipped, axis=0, weights=examples)
    result = NormClip(bound=bound, personal=()).aggregate(start, iter(rounds[0]))
    np.testing.assert_allclose(result.vector, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("spread", [1.0, 0.01])
def test_fedexp_agrees_with_the_paper(draw, spread):
    start, rounds = draw(clients=9, rounds=1)
    for update in rounds[0]:  # where clients agree, nothing is extrapolated
        vector = update.parameters.vector
        vector[:] = start.vector + (1.0 - spread) + spread * vector
    rounds = [[replace(update, examples=10) for update in rounds[0]]]
    base, moved = changes(start, rounds[0])
    mean = moved.mean(axis=0)
    ratio = (moved**2).sum() / (2 * len(moved) * ((mean**2).sum() + 1e-3))
    rate = max(1.0, ratio)
    assert (rate > 1.0) == (spread == 1.0)
    result = FedExP(epsilon=1e-3, personal=()).aggregate(start, iter(rounds[0]))
    np.testing.assert_allclose(result.vector, base + rate * mean, rtol=1e-6, atol=3e-6)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(("q", "rate"), [(0.1, 0.1), (0.0, 1.0), (2.0, 0.01)])
def test_qfedavg_agrees_with_flwr(flower, draw, q, rate):
    # flwr's legacy strategy weighs all clients by one loss, that of a central evaluation
    start, rounds = draw(clients=4, rounds=2)
    theirs = flower.current("QFedAvg", start, rounds, q=q, client_learning_rate=rate)
    collector, here = QFedAvg(q=q, client_lr=rate, personal=()), start
    for updates, other in zip(rounds, theirs, strict=True):
        here = collector.aggregate(here, iter(updates))
        for name, tensor in here.items():
            np.testing.assert_allclose(tensor, other[name], rtol=1e-6, atol=1e-6)


def test_qfedavg_without_fairness_weighs_all_alike(draw):
    start, rounds = draw(rounds=1)
    alike = [replace(update, examples=1) for update in rounds[0]]
    expected = FedAvg(personal=()).aggregate(start, alike)
    result = QFedAvg(q=0.0, client_lr=0.1, personal=()).aggregate(start, rounds[0])
    np.testing.assert_allclose(result.vector, expected.vector, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("metrics", [{"accuracy": 0.5}, {"loss": -1.0}, {"loss": float("nan")}])
def test_qfedavg_needs_a_loss(draw, metrics):
    start, rounds = draw(rounds=1)
    bad = replace(rounds[0][3], metrics=metrics)
    with pytest.raises(DataError) as caught:
        QFedAvg(q=0.1, client_lr=0.1, personal=()).aggregate(start, [*rounds[0][:3], bad])
    assert caught.value.asked == (
        "the update of node 'node-3' has no loss of 0 or more to be fair by"
    )
    assert caught.value.provider == "node-3"


@pytest.mark.parametrize(
    ("make", "asked", "allowed"),
    [
        (lambda: NormClip(bound=0.0, personal=()), "collector.bound=0.0", "above 0"),
        (lambda: FedExP(epsilon=-1.0, personal=()), "collector.epsilon=-1.0", "0 or more"),
        (lambda: QFedAvg(q=-1.0, client_lr=1.0, personal=()), "collector.q=-1.0", "0 or more"),
        (lambda: QFedAvg(q=1.0, client_lr=0.0, personal=()), "collector.client_lr=0.0", "above 0"),
    ],
)
def test_bad_options_are_refused(make, asked, allowed):
    with pytest.raises(ConfigError) as caught:
        make()
    told = f"{asked}".replace("=", f" must be {caught.value.exists}, got ", 1)
    assert caught.value.asked == told
    assert caught.value.exists == allowed
