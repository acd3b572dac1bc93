"""Summaries that are no summaries of the step are refused."""

import numpy as np
import pytest

from aeros_flower.controller.summaries import fault

LIKE = {"a.count": 3, "a.mean": np.zeros(2), "name": "x", "top": 1.5}
GOOD = {"a.count": 9, "a.mean": np.array([1.0, 2.0]), "name": "y", "top": 0.0}


def test_a_summary_of_other_rows_passes():
    assert fault(GOOD, LIKE) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"a.count": -1}, {"a.count": 1.5}, {"a.count": 2**70}, {"a.count": True}, {"a.count": "3"},
        {"a.mean": np.zeros(3)}, {"a.mean": np.array([1.0, np.nan])}, {"a.mean": 1.0},
        {"a.mean": np.zeros(2, np.int64)}, {"a.mean": np.array([np.inf, 0])}, {"name": 3},
        {"top": np.zeros(1)}, {"top": float("nan")}, {"more": 1},
    ],
)  # fmt: skip
def test_what_is_no_summary_of_the_step_is_refused(change):
    assert fault(GOOD | change, LIKE)
    assert fault({n: v for n, v in GOOD.items() if n != "a.count"}, LIKE)
