import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aeros_transforms.steps.scaling.moments import Moments

values = arrays(
    np.float32,
    st.tuples(st.integers(1, 30), st.integers(1, 3)),
    elements=st.floats(-1e3, 1e3, width=32),
)


@given(values, st.booleans())
def test_equals_numpy(rows, whole):
    found = Moments.of(rows, whole=whole)
    wide = rows.astype(np.float64).reshape(-1, 1 if whole else rows.shape[1])
    assert found.count == len(wide)
    np.testing.assert_allclose(found.mean, wide.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(found.squares, wide.var(axis=0) * len(wide), atol=1e-6)


@given(values, st.integers(0, 2**32), st.integers(2, 5))
def test_parts_in_any_order_give_the_same_bits(rows, seed, parts):
    pieces = [Moments.of(part, whole=False) for part in np.array_split(rows, parts)]
    wanted = Moments.total(pieces)
    shuffled = Moments.total(np.random.default_rng(seed).permutation(np.array(pieces, object)))
    np.testing.assert_array_equal(shuffled.mean, wanted.mean)
    np.testing.assert_array_equal(shuffled.squares, wanted.squares)
    np.testing.assert_allclose(wanted.mean, rows.astype(np.float64).mean(axis=0), atol=1e-9)


def test_many_rows_far_from_zero_lose_nothing():
    """Sums of squares would cancel here: the textbook example of Chan et al."""
    rows = (1e6 + np.random.default_rng(0).standard_normal((50_000, 2))).astype(np.float32)
    found = Moments.of(rows, whole=False)
    np.testing.assert_allclose(found.deviation, rows.astype(np.float64).std(axis=0), rtol=1e-12)


def test_equal_values_have_deviation_one():
    found = Moments.of(np.full((9001, 1), 0.1, np.float32), whole=False)
    assert found.deviation.tolist() == [1]


def test_no_rows():
    assert Moments.of(np.empty((0, 2), np.float32), whole=False).count == 0
