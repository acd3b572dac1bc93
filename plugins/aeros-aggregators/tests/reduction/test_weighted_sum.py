"""Sums hold few updates, let them go, and start every round anew."""

from __future__ import annotations

import numpy as np
import pytest

from aeros_aggregators.reduction import weighted_sum
from aeros_core.messages import Update
from aeros_core.parameters import Parameters


def filled(value, size=100):
    return Parameters.of({"w": np.full(size, value, np.float32)})


@pytest.mark.parametrize(("room", "most"), [(100, 12), (12, 12), (11, 1), (1, 1)])
def test_holds_fewer_updates_where_they_are_large(monkeypatch, room, most):
    start = filled(0)
    monkeypatch.setattr(weighted_sum, "buffer_budget", lambda: room * start.nbytes)
    total, held = weighted_sum.WeightedSum(), []
    total.begin(start)
    for i in range(40):
        total.add(Update(f"n{i}", 1, filled(i), 1), 1.0)
        held.append(len(total._held))
    assert max(held) == most - 1
    assert total.mean()["w"][0] == np.float32(19.5)


def test_a_part_of_the_memory_of_the_machine_is_room():
    assert 1 << 20 < weighted_sum.buffer_budget() <= 1 << 29


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("clients", [3, 16, 33])
def test_groups_change_no_bit(monkeypatch, draw, clients):
    start, rounds = draw(clients=clients, rounds=1)
    digests = set()
    for most in (4, 5, 16, 64):
        monkeypatch.setattr(weighted_sum, "MOST", most)
        total = weighted_sum.WeightedSum()
        assert total.take(start, rounds[0])
        digests.add(total.mean().digest)
    assert len(digests) == 1


def test_nothing_is_left_of_the_last_round():
    total = weighted_sum.WeightedSum()
    assert total.take(filled(0), [Update("a", 1, filled(5), 3)] * 9)
    assert not total.take(filled(1), iter(()))
    assert total.take(filled(1), [Update("a", 1, filled(7), 3), Update("b", 1, filled(1), 1)])
    assert total.mean()["w"].tolist() == [5.5] * 100
    assert total.take(filled(1, 30), [Update("a", 1, filled(7, 30), 2)])
    assert total.mean()["w"].tolist() == [7.0] * 30


def test_a_divisor_of_its_own():
    total = weighted_sum.WeightedSum()
    total.take(filled(2), [Update("a", 1, filled(5), 3), Update("b", 1, filled(4), 1, delta=True)])
    # 3 * (5 - 2) + 1 * 4 = 13, divided by 2
    np.testing.assert_allclose(total.mean(2.0)["w"], 2 + 6.5)


def test_a_step_sees_the_mean_change():
    total, changes = weighted_sum.WeightedSum(), []
    total.take(filled(2), [Update("a", 1, filled(5), 3), Update("b", 1, filled(4), 1, delta=True)])

    def step(term):
        changes.append(term.change())
        term.out[:] = 7

    assert total.step(step)["w"].tolist() == [7.0] * 100
    np.testing.assert_allclose(changes, 13 / 4)
