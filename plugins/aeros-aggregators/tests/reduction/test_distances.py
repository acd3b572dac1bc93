"""Squared distances, by numpy and by kernels, against numpy in extended precision."""

from __future__ import annotations

import numpy as np
import pytest

from aeros_aggregators.reduction import distances
from aeros_aggregators.reduction.server_steps import ServerStep

LARGE = 150_001


def draw(count, size, dtype="float32", spread=1.0):
    rng = np.random.default_rng(count)
    base = rng.standard_normal(size)
    return [(base + spread * rng.standard_normal(size)).astype(dtype) for _ in range(count)]


def exact(a, b):
    difference = a.astype(np.longdouble) - b
    return float((difference * difference).sum())


@pytest.mark.parametrize(
    ("count", "size"), [(1, 100), (5, 100), *((n, LARGE) for n in (1, 2, 3, 4, 5, 9, 10))]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spread", [1.0, 1e-4])
def test_pairs(count, size, dtype, spread):
    # with a spread of 1e-4 a Gram matrix in float32 has no digit left
    rows = draw(count, size, dtype, spread)
    result = distances.pairs(rows)
    assert result.shape == (count, count)
    assert (np.diag(result) == 0).all()
    np.testing.assert_array_equal(result, result.T)
    expected = [[exact(a, b) for b in rows] for a in rows]
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize("size", [0, 7, LARGE])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gap(size, dtype):
    a, b = draw(2, size, dtype)
    assert distances.gap(a, b) == pytest.approx(exact(a, b), rel=1e-12)
    assert distances.gap(a, None) == pytest.approx(exact(a, np.zeros_like(a)), rel=1e-12)


@pytest.mark.parametrize("size", [7, LARGE])
def test_from_mean(size):
    rows, weights = draw(5, size), np.array([0.1, 0.3, 0.2, 0.15, 0.25])
    mean = np.average(np.stack(rows).astype(np.float64), axis=0, weights=weights)
    result = distances.from_mean(rows, weights)
    np.testing.assert_allclose(result, [exact(row, mean) for row in rows], rtol=1e-10)


@pytest.mark.parametrize("size", [7, LARGE])
def test_change(size):
    a, base = draw(2, size)
    term = ServerStep(
        "float32", np.empty_like(base), base, a.astype(float), [a], [2.0], False, 3.0, 1.0
    )
    assert distances.change(term) == pytest.approx(exact(a, base), rel=1e-9)
