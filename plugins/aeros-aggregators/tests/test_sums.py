"""Sums hold few updates, let them go, and start every round anew."""

from __future__ import annotations

import numpy as np
import pytest

from aeros_aggregators import sums
from aeros_core.messages import Update
from aeros_core.parameters import Parameters


def filled(value, size=100):
    return Parameters.of({"w": np.full(size, value, np.float32)})


@pytest.mark.parametrize(("room", "most"), [(8, 8), (7, 4)])
def test_holds_fewer_updates_where_they_are_large(monkeypatch, room, most):
    start = filled(0)
    monkeypatch.setattr(sums, "HELD", room * start.nbytes)
    total, held = sums.Sums(), []
    total.begin(start)
    for i in range(20):
        total.add(Update(f"n{i}", 1, filled(i), 1), 1.0)
        held.append(len(total._held))
    assert max(held) == most - 1
    assert total.mean()["w"][0] == np.float32(9.5)


def test_nothing_is_left_of_the_last_round():
    total = sums.Sums()
    assert total.take(filled(0), [Update("a", 1, filled(5), 3)] * 9)
    assert not total.take(filled(1), iter(()))
    assert total.take(filled(1), [Update("a", 1, filled(7), 3), Update("b", 1, filled(1), 1)])
    assert total.mean()["w"].tolist() == [5.5] * 100
    assert total.take(filled(1, 30), [Update("a", 1, filled(7, 30), 2)])
    assert total.mean()["w"].tolist() == [7.0] * 30


def test_a_divisor_of_its_own():
    total = sums.Sums()
    total.take(filled(2), [Update("a", 1, filled(5), 3), Update("b", 1, filled(4), 1, delta=True)])
    terms = []

    def step(term):
        terms.append(term)
        term.out[:] = term.change()

    # 3 * (5 - 2) + 1 * 4 = 13, divided by 2
    np.testing.assert_allclose(total.step(step, weight=2.0)["w"], 6.5)
    assert terms[0].share == 1.5
