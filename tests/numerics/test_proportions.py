"""Shares of counts: exact where a product of floats is not."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.numerics import proportions


def test_the_share_that_a_product_of_floats_misses():
    assert int(0.29 * 100) == 28  # why these functions are there
    assert proportions.at_most(0.29, 100) == 29
    assert proportions.at_least(0.07, 100) == 7
    assert math.ceil(0.07 * 100) == 8
    assert proportions.nearest(0.285, 100) == 28  # 28.5, half to even


@given(st.integers(0, 10_000), st.integers(0, 10**6))
def test_shares_are_those_of_the_decimal_that_was_typed(parts, count):
    share, wanted = parts / 10_000, Decimal(parts) * count / 10_000
    assert proportions.at_most(share, count) == math.floor(wanted)
    assert proportions.at_least(share, count) == math.ceil(wanted)


@pytest.mark.parametrize("share", [math.nan, math.inf, -math.inf])
def test_a_share_that_is_not_finite_is_refused(share):
    with pytest.raises(ValueError, match=r"nan|inf"):
        proportions.exact(share)
