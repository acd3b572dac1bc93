import numpy as np

from aeros_core.messages import Evaluation, Failure, Update
from aeros_core.parameters import Parameters
from aeros_core.tasks.round_counters import Refusal, RoundCounters

PAIR = Parameters.of({"w": np.zeros(2, "float32")})
LATE = Refusal("late", "late: for round 3")


def test_what_comes_is_counted_in_bytes_good_or_not():
    tally = RoundCounters()
    tally.receive(Update("a", 1, PAIR, 1))
    tally.receive(Update("b", 1, PAIR, 0))
    tally.receive(Failure("c", 1, "no"))
    tally.receive(Evaluation("d", 1, 1, {}))
    assert tally.received == 16


def test_a_good_update_leaves_its_figures():
    tally = RoundCounters()
    tally.accept(Update("a", 1, PAIR, 4, {"loss": 0.5}))
    assert tally.accepted == {"a": {"examples": 4, "loss": 0.5}}


def test_refusals_are_counted_by_node_and_kind():
    tally = RoundCounters()
    for node, refusal in [("a", LATE), ("a", LATE), ("a", Refusal("norm", "far")), ("b", LATE)]:
        tally.refuse(node, refusal)
    assert tally.dropped == {"a": {"late": 2, "norm": 1}, "b": {"late": 1}}
    assert tally.refused == {"a": "far", "b": "late: for round 3"}


def test_a_node_that_is_not_missing_is_not_refused():
    tally = RoundCounters()
    tally.refuse("a", LATE)
    tally.accept(Update("a", 1, PAIR, 4))
    tally.refuse("a", Refusal("duplicate", "duplicate"))
    assert tally.refused == {}
    assert tally.dropped == {"a": {"late": 1, "duplicate": 1}}
