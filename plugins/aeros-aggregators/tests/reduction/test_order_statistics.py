"""Order statistics of large vectors, by network and by numpy's sort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aeros_aggregators.kernels import numpy_kernels
from aeros_aggregators.reduction import order_statistics

LARGE = 150_001


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("count", "cut"), [(1, 0), (6, 1), (11, 5), (140, 60)])
def test_middle_of_large_vectors(dtype, count, cut):
    rng = np.random.default_rng(count)
    rows = [rng.standard_normal(LARGE).astype(dtype) for _ in range(count)]
    result = order_statistics.trimmed_mean(rows, cut)
    ordered = np.sort(np.stack(rows)[:, -5000:], axis=0)[cut : count - cut]
    expected = ordered.mean(axis=0, dtype=np.float64).astype(dtype)
    assert result.dtype == dtype
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(result[-5000:], expected, rtol=tolerance, atol=tolerance)
    assert np.isfinite(result).all()


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(
    rows=hnp.arrays(
        np.float32,
        st.tuples(st.just(5), st.integers(1, 70)),
        elements=st.floats(-(2.0**100), 2.0**100, width=32),
    )
)
def test_network_selects_what_sorting_does(rows):
    limit, numpy_kernels.SMALL = numpy_kernels.SMALL, 0
    try:
        result = order_statistics.trimmed_mean(list(rows), 2)
    finally:
        numpy_kernels.SMALL = limit
    np.testing.assert_array_equal(result, np.sort(rows, axis=0)[2])
