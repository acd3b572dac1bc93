"""The geometric median: the contract, and the paper's algorithm in a few lines."""

from __future__ import annotations

import numpy as np
import pytest

from aeros_aggregators.rules.geometric_median import GeometricMedian
from aeros_core.errors import ConfigError
from aeros_core.roles.collector import Collector
from aeros_core.testing import CollectorTests


class TestGeometricMedian(CollectorTests):
    def make(self) -> Collector:
        return GeometricMedian(iterations=4, smoothing=1e-6, personal=())


def weiszfeld(points, examples, iterations, smoothing):
    """Pillutla et al., algorithm 2, from the weighted mean on."""
    alpha = examples / examples.sum()
    z = alpha @ points
    for _ in range(iterations):
        beta = alpha / np.maximum(smoothing, np.linalg.norm(points - z, axis=1))
        z = beta @ points / beta.sum()
    return z


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("iterations", [1, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_agrees_with_the_paper(draw, dtype, iterations):
    start, rounds = draw(dtype=dtype, rounds=1)
    points = np.stack([u.parameters.vectors[dtype].astype(np.float64) for u in rounds[0]])
    examples = np.array([u.examples for u in rounds[0]])
    expected = weiszfeld(points, examples, iterations, 1e-6)
    collector = GeometricMedian(iterations=iterations, smoothing=1e-6, personal=())
    result = collector.aggregate(start, iter(rounds[0]))
    tolerance = 1e-6 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(result.vectors[dtype], expected, rtol=tolerance, atol=tolerance)


def test_many_steps_lead_to_the_least_sum_of_distances(draw):
    start, rounds = draw(dtype="float64", size=50, clients=9, rounds=1)
    points = np.stack([u.parameters.vectors["float64"] for u in rounds[0]])
    examples = np.array([u.examples for u in rounds[0]])
    collector = GeometricMedian(iterations=300, smoothing=1e-9, personal=())
    found = collector.aggregate(start, rounds[0]).vectors["float64"]

    def cost(z):
        return examples @ np.linalg.norm(points - z, axis=1)

    rng = np.random.default_rng(0)
    for scale in (1e-3, 1e-1, 1.0):
        assert cost(found) < cost(found + scale * rng.standard_normal(50))


@pytest.mark.parametrize(
    ("options", "asked", "allowed"),
    [
        ({"iterations": 0, "smoothing": 1e-6}, "collector.iterations=0", "1 or more"),
        ({"iterations": 3, "smoothing": 0.0}, "collector.smoothing=0.0", "above 0"),
    ],
)
def test_bad_options_are_refused(options, asked, allowed):
    with pytest.raises(ConfigError) as caught:
        GeometricMedian(**options, personal=())
    told = f"{asked}".replace("=", f" must be {caught.value.exists}, got ", 1)
    assert caught.value.asked == told
    assert caught.value.exists == allowed
