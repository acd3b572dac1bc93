"""Drift of inputs: whatever they hold, figures come of it and no error."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.schema import Field
from aeros_serving.models.statistics import FARTHEST, Drift


def drift_of(*batches, span=None, dtype=np.float64):
    drift = Drift(Field("x", "float64", (), span))
    for batch in batches:
        drift.add({"x": np.array(batch, dtype)})
    return drift


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9), min_size=1, max_size=5))
def test_mean_and_deviation_are_those_of_all_values(batches):
    drift, values = drift_of(*batches), np.concatenate(batches)
    assert drift.values == len(values)
    assert drift.mean == pytest.approx(values.mean(), rel=1e-9, abs=1e-6)
    assert drift.deviation == pytest.approx(values.std(), rel=1e-6, abs=1e-6)


@given(st.lists(st.lists(st.floats() | st.sampled_from([2e200, -1.7e308, 1e308])), max_size=4))
def test_no_value_makes_an_error(batches):
    drift = drift_of(*batches, span=(-1.0, 1.0))
    assert math.isfinite(drift.mean)
    assert math.isfinite(drift.deviation)
    finite = [value for batch in batches for value in batch if math.isfinite(value)]
    assert drift.values == len(finite)
    assert drift.outside == sum(abs(value) > 1 for value in finite)


def test_far_values_count_as_the_farthest():
    drift = drift_of([2e200], [1.0])
    assert drift.mean == FARTHEST / 2


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.float16, np.float32])
def test_values_of_any_width_are_looked_at(dtype):
    assert drift_of([1, 2, 3], dtype=dtype).mean == 2.0
