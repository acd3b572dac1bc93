import time

import pytest

from aeros_torch.training.timing import ClientTiming


def test_clients_and_their_time_are_counted():
    pace = ClientTiming()
    assert pace.each == 0.0
    for node in "ab":
        with pace.client(node, 5):
            time.sleep(0.01)
    assert (pace.clients, pace.examples) == (2, 10)
    assert pace.seconds == pytest.approx(2 * pace.each)
    assert pace.each >= 0.01


def test_a_client_that_fails_does_not_count():
    pace = ClientTiming()
    with pytest.raises(ValueError, match="no"), pace.client("a", 5):
        raise ValueError("no")
    assert pace.clients == 0


def test_what_a_client_took_is_expected_of_it_and_of_others_by_their_examples():
    pace = ClientTiming()
    assert pace.expected("a", 20) > pace.expected("b", 10) > 0
    pace.note("a", 10, 4.0)
    assert pace.expected("a", 10_000) == 4.0
    assert pace.expected("b", 5) == pytest.approx(2.0)
    pace.note("a", 10, 2.0)
    assert pace.expected("a", 10) == pytest.approx(3.0)
    assert pace.expected("b", 10) == pytest.approx(3.0)


def test_those_trained_last_are_remembered(monkeypatch):
    monkeypatch.setattr("aeros_torch.training.timing._REMEMBERED", 2)
    pace = ClientTiming()
    for node in ("a", "b", "a", "c"):
        pace.note(node, 1, 1.0 if node != "c" else 7.0)
    assert [pace.expected(node, 1) for node in "ac"] == [1.0, 7.0]
    assert pace.expected("b", 1) == pytest.approx(10 / 4)
