"""What a round spends its time on."""

import time

import numpy as np
import pytest

from aeros_core.federated import timing
from aeros_core.messages import Update
from aeros_core.parameters import Parameters


@pytest.fixture
def passing(monkeypatch):
    """A function that lets time pass in a phase."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def spend(phase, seconds):
        with timing.timed(phase):
            now[0] += seconds

    return spend


def an_update(**scalars):
    return Update("n", 1, Parameters.of({"w": np.zeros(1, "float32")}), 1, scalars=scalars)


def test_a_round_is_split_into_what_it_spent_its_time_on(passing):
    passing("receive", 50)  # of another round
    split = timing.PhaseTimer()
    passing("select", 1)
    passing("send", 2)
    passing("receive", 5)
    split.hear(an_update(seconds=3.0))
    split.hear(an_update(seconds=2.0))
    split.hear(an_update())
    passing("receive", 5)
    assert split.of(17.0) == {
        "select": 1, "send": 2, "work": 3, "receive": 7, "aggregate": 4,
    }  # fmt: skip


def test_nodes_of_this_process_send_nothing_and_nobody_waits_longer_than_it_took(passing):
    split = timing.PhaseTimer()
    split.hear(an_update(seconds=9.0))
    passing("receive", 2)
    assert split.of(1.5) == {"select": 0, "send": 0, "work": 2, "receive": 0, "aggregate": 0}


def test_an_error_within_a_phase_is_counted_too(passing):
    split = timing.PhaseTimer()
    with pytest.raises(ValueError, match="no"), timing.timed("send"):
        raise ValueError("no")
    assert split.of(0.0)["send"] == 0


def test_a_pause_uses_no_deadline_up(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("aeros_core.federated.timing.time.monotonic", lambda: now[0])
    before = timing.unpaused()
    with timing.paused():
        now[0] += 50
    now[0] += 3
    assert timing.unpaused() - before == 3
