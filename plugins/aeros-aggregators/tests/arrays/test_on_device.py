"""Vectors on a device: torch's on the CPU, which are told to be somewhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aeros_aggregators.arrays import on_device
from aeros_aggregators.rules.adaptive import FedAdam
from aeros_aggregators.rules.fedavg import FedAvg
from aeros_aggregators.rules.geometric_median import GeometricMedian
from aeros_aggregators.rules.krum import Bulyan, Krum, MultiKrum
from aeros_aggregators.rules.norm_based import NormClip
from aeros_aggregators.rules.robust import Median, TrimmedMean
from aeros_core.messages import Update
from aeros_core.parameters import Parameters

torch = pytest.importorskip("torch")

RULES = {
    "fedavg": lambda: FedAvg(personal=()),
    "fedadam": lambda: FedAdam(server_lr=0.1, beta1=0.9, beta2=0.99, tau=1e-3, personal=()),
    "median": lambda: Median(personal=()),
    "trimmed_mean": lambda: TrimmedMean(trim=0.2, personal=()),
    "krum": lambda: Krum(byzantine=1, personal=()),
    "multikrum": lambda: MultiKrum(byzantine=1, keep=0, personal=()),
    "norm_clip": lambda: NormClip(bound=1.0, personal=()),
    "bulyan": lambda: Bulyan(byzantine=1, personal=()),
    "geometric_median": lambda: GeometricMedian(iterations=3, smoothing=1e-6, personal=()),
}


@pytest.fixture
def trips(monkeypatch):
    """Let torch's vectors lie on a device; the numbers of elements that came home."""
    taken = []

    def home(vector):
        taken.append(len(vector))
        return torch.from_dlpack(vector).numpy().copy()

    monkeypatch.setattr(on_device, "HOSTS", frozenset())
    monkeypatch.setattr(on_device, "to_host", home)
    return taken


def moved(update):
    vectors = {d: torch.from_numpy(v.copy()) for d, v in update.parameters.vectors.items()}
    return replace(update, parameters=Parameters(update.parameters.layout, vectors))


def difference(update, start):
    vectors = {d: v - start.vectors[d] for d, v in update.parameters.vectors.items()}
    return replace(update, parameters=Parameters(start.layout, vectors), delta=True)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("name", RULES)
def test_rules_give_what_they_give_at_home(trips, draw, name, dtype):
    start, (updates,) = draw(dtype=dtype, clients=9, rounds=1)
    mixed = [difference(u, start) if i % 3 == 0 else u for i, u in enumerate(updates)]
    for sent in (updates, mixed, [difference(u, start) for u in updates]):
        expected = RULES[name]().aggregate(start, sent)
        result = RULES[name]().aggregate(start, [moved(update) for update in sent])
        for key, vector in result.vectors.items():
            assert isinstance(vector, np.ndarray)
            limit = 2e-3 if dtype == "float16" else 1e-6
            np.testing.assert_allclose(vector, expected.vectors[key], rtol=limit, atol=limit)
    assert trips


@pytest.mark.parametrize("name", ["fedavg", "fedadam", "median", "trimmed_mean"])
def test_one_vector_comes_home(trips, draw, name):
    start, (updates,) = draw(clients=30, rounds=1)
    RULES[name]().aggregate(start, (moved(update) for update in updates))
    assert trips == [1003]


def test_distances_alone_come_home_and_the_update_chosen(trips, draw):
    start, (updates,) = draw(clients=9, rounds=1)
    RULES["krum"]().aggregate(start, [moved(update) for update in updates])
    assert trips == [1003]


def test_long_vectors_are_worked_on_in_pieces(trips, draw, monkeypatch):
    monkeypatch.setattr(on_device, "COLUMNS", 100)
    start, (updates,) = draw(clients=9, rounds=1)
    for name in ("median", "krum"):
        expected = RULES[name]().aggregate(start, updates)
        result = RULES[name]().aggregate(start, [moved(update) for update in updates])
        np.testing.assert_allclose(result.vector, expected.vector, rtol=1e-6, atol=1e-6)


def test_updates_at_home_and_on_a_device_mix(trips, draw):
    start, (updates,) = draw(clients=20, rounds=1)
    some = [moved(update) if i % 2 else update for i, update in enumerate(updates)]
    for name in ("fedavg", "median", "krum"):
        expected = RULES[name]().aggregate(start, updates)
        result = RULES[name]().aggregate(start, some)
        np.testing.assert_allclose(result.vector, expected.vector, rtol=1e-6, atol=1e-6)


def test_integers_come_along(trips):
    start = Parameters.of({"w": np.zeros(3, np.float32), "n": np.array([4, 4])})
    sent = Parameters.of({"w": np.ones(3, np.float32), "n": np.array([7, 9])})
    result = FedAvg(personal=()).aggregate(start, [moved(Update("a", 1, sent, 3))])
    assert result["n"].tolist() == [7, 9]
    assert result["n"].dtype == np.int64


def test_what_numpy_can_read_is_at_home():
    assert not on_device.there(np.zeros(2))
    assert not on_device.there(torch.zeros(2))
    assert on_device.to_host(torch.ones(2)).tolist() == [1.0, 1.0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", RULES)
def test_rules_on_a_gpu_give_what_they_give_at_home(draw, name):
    start, (updates,) = draw(clients=9, rounds=1)
    far = []
    for update in updates:
        vectors = {"float32": torch.tensor(update.parameters.vector).cuda()}
        far.append(replace(update, parameters=Parameters(start.layout, vectors)))
    result, expected = RULES[name]().aggregate(start, far), RULES[name]().aggregate(start, updates)
    np.testing.assert_allclose(result.vector, expected.vector, rtol=1e-5, atol=1e-5)
