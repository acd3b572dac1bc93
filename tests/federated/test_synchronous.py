import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.federated.synchronous import SynchronousRound
from aeros_core.messages import Evaluation, Failure, Instruction, Update
from aeros_core.parameters import Parameters
from aeros_core.tasks.control import Cancelled, Control
from aeros_core.tasks.round_counters import RoundCounters
from aeros_core.tasks.task import LateUpdates, QuorumPolicy, Task

COHORT = ("a", "b", "c")
ROUND = 5


def packed(*values):
    return Parameters.of({"w": np.array(values, dtype="float32")})


def update(node, **changed):
    return replace(Update(node, ROUND, packed(1, 2), 10, {"loss": 0.5}), **changed)


def intake(nodes, *, cohort=COHORT, control=None, owed=None, **options):
    sent = [Instruction(ROUND, node, packed(0, 0)) for node in cohort]
    breathe = (control or Control()).check
    return SynchronousRound(
        nodes, Task(**options), sent, packed(0, 0), breathe, RoundCounters(), owed
    )


def taken(coming):
    return [update.node for update in coming]


def test_good_updates_are_taken_in_and_weighed(scripted):
    nodes = scripted(update("a"), update("b", examples=4), update("c", metrics={}))
    coming = intake(nodes)
    assert taken(coming) == ["a", "b", "c"]
    assert coming.tally.accepted == {
        "a": {"examples": 10, "loss": 0.5},
        "b": {"examples": 4, "loss": 0.5},
        "c": {"examples": 10},
    }
    assert coming.tally.refused == {}
    assert coming.tally.received == 3 * 8
    assert not nodes.abandoned


BAD = {
    "failed": (Failure("b", ROUND, "the sensor is unplugged"), "the sensor is unplugged"),
    "evaluated": (Evaluation("b", ROUND, 3, {"loss": 1.0}), "an evaluation, not an update"),
    "layout": (
        update("b", parameters=packed(1, 2, 3)),
        "another layout than the global parameters",
    ),
    "name": (
        update("b", parameters=Parameters.of({"v": np.ones(2, dtype="float32")})),
        "another layout than the global parameters",
    ),
    "nothing": (update("b", examples=0), "0 examples"),
    "negative": (update("b", examples=-3), "-3 examples"),
    "nan": (update("b", parameters=packed(1, np.nan)), "NaN or infinity"),
    "inf": (update("b", parameters=packed(np.inf, 2)), "NaN or infinity"),
    "both": (update("b", parameters=packed(np.inf, -np.inf)), "NaN or infinity"),
    "vector": (
        update("b", vectors={"mask": np.array([np.nan], dtype="float32")}),
        "NaN or infinity",
    ),
}


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("case", BAD)
def test_a_bad_reply_is_dropped_with_its_reason_and_the_others_go_on(scripted, case, ordered):
    bad, reason = BAD[case]
    coming = intake(scripted(bad, update("a"), update("c")), ordered=ordered)
    assert taken(coming) == ["a", "c"]
    assert list(coming.tally.accepted) == ["a", "c"]
    assert coming.tally.refused == {"b": reason}


@pytest.mark.parametrize("other", [4, 6])
def test_a_reply_for_another_round_is_refused(scripted, other):
    coming = intake(scripted(update("b", round=other), update("a")), ordered=False)
    assert next(iter(coming)).node == "a"
    late, early = "late: for round 4", "for round 6, and this is round 5"
    assert coming.tally.refused == {"b": late if other == 4 else early}


def test_a_late_reply_does_not_spend_the_nodes_turn(scripted):
    coming = intake(scripted(update("b", round=4), update("b"), update("a"), update("c")))
    assert taken(coming) == ["a", "b", "c"]
    assert coming.tally.refused == {}
    assert coming.tally.dropped == {"b": {"late": 1}}


def test_a_late_update_is_used_where_the_task_says_so(scripted):
    """In place of what its node sends now; once; and only if that round waited for it."""
    nodes = scripted(update("b", round=4), update("z", round=4), update("b"), update("c", round=4),
                     update("z", round=4), update("a"), update("c"))  # fmt: skip
    coming = intake(nodes, owed={"b": 4, "z": 4, "c": 3}, late=LateUpdates.use)
    found = list(coming)
    assert [(u.node, u.scalars.get("staleness", 0.0)) for u in found] == [
        ("a", 0), ("b", 1), ("c", 0), ("z", 1),
    ]  # fmt: skip
    assert coming.tally.dropped == {"b": {"duplicate": 1}, "c": {"late": 1}, "z": {"late": 1}}


def test_what_misses_its_round_is_owed_to_the_next(scripted):
    owed = {}
    assert taken(
        intake(scripted(update("a"), None), owed=owed, late=LateUpdates.use, deadline=1.0)
    ) == ["a"]
    assert owed == {"b": ROUND, "c": ROUND}


def test_a_second_update_of_a_node_is_counted_and_not_taken(scripted):
    second = update("a", parameters=packed(9, 9))
    coming = intake(scripted(update("a"), second, update("b"), update("c")))
    assert [u.parameters.vector.tolist() for u in coming] == [[1, 2]] * 3
    assert coming.tally.received == 4 * 8
    assert coming.tally.refused == {}
    assert coming.tally.dropped == {"a": {"duplicate": 1}}


def test_a_second_reply_after_a_bad_one_is_a_duplicate(scripted):
    coming = intake(scripted(Failure("a", ROUND, "no"), update("a"), update("b"), update("c")))
    assert taken(coming) == ["b", "c"]
    assert coming.tally.refused == {"a": "duplicate"}


def test_a_node_that_was_not_asked_is_refused(scripted):
    coming = intake(scripted(update("mallory"), *map(update, COHORT)))
    assert taken(coming) == ["a", "b", "c"]
    assert coming.tally.refused == {"mallory": "was not asked"}


def test_large_values_whose_sum_overflows_are_finite(scripted):
    large = packed(3e38, 3e38)
    coming = intake(scripted(update("a", parameters=large), update("b"), update("c")))
    assert taken(coming) == ["a", "b", "c"]


@given(st.permutations([f"n{i}" for i in range(7)]), st.sets(st.integers(0, 6)))
def test_ordered_updates_come_in_the_order_of_selection(arrival, failing):
    cohort = [f"n{i}" for i in range(7)]
    bad = {f"n{i}" for i in failing}
    replies = [Failure(n, ROUND, "no") if n in bad else update(n) for n in arrival]
    nodes = type("Nodes", (), {"receive": lambda *_: replies.pop(0), "dispatch": lambda *_: None})
    coming = intake(nodes(), cohort=cohort)
    assert taken(coming) == [node for node in cohort if node not in bad]
    assert set(coming.tally.refused) == bad


def test_ordered_updates_go_on_as_soon_as_all_before_them_are_settled(scripted):
    nodes = scripted(Failure("a", ROUND, "no"), update("b"), update("c"))
    coming = iter(intake(nodes))
    assert next(coming).node == "b"
    assert len(nodes.replies) == 1


def test_unordered_updates_come_as_they_arrive(scripted):
    nodes = scripted(update("c"), update("a"), update("b"))
    coming = iter(intake(nodes, ordered=False))
    assert next(coming).node == "c"
    assert len(nodes.replies) == 2
    assert taken(coming) == ["a", "b"]


def test_at_the_deadline_the_round_goes_on_without_those_that_miss(scripted):
    nodes = scripted(update("b"))
    coming = intake(nodes, deadline=60.0)
    assert taken(coming) == ["b"]
    late = "no reply within the deadline"
    assert coming.tally.refused == {"a": late, "c": late}
    assert nodes.abandoned == 1
    assert all(0 < timeout <= 60 for timeout in nodes.timeouts)


def test_waiting_is_shorter_each_time(scripted):
    class Slow(scripted):
        def receive(self, timeout):
            time.sleep(0.02)
            return super().receive(timeout)

    nodes = Slow(*map(update, COHORT))
    taken(intake(nodes, deadline=30.0))
    first, second, third = nodes.timeouts
    assert first - second >= 0.02
    assert second - third >= 0.02


def test_without_a_deadline_nothing_hurries(scripted):
    nodes = scripted(*map(update, COHORT))
    taken(intake(nodes))
    assert nodes.timeouts == [None, None, None]


def test_a_task_is_cancelled_between_two_messages(scripted):
    control = Control()
    nodes = scripted(*map(update, COHORT))
    coming = iter(intake(nodes, control=control))
    next(coming)
    control.cancel()
    with pytest.raises(Cancelled):
        next(coming)
    assert len(nodes.replies) == 2


def test_a_paused_task_takes_nothing_in_until_it_is_resumed(scripted):
    control = Control()
    control.pause()
    nodes = scripted(*map(update, COHORT))
    done = []
    working = threading.Thread(
        target=lambda: done.extend(intake(nodes, control=control)), daemon=True
    )
    working.start()
    working.join(0.05)
    assert len(nodes.replies) == 3
    control.resume()
    working.join(300)
    assert len(done) == 3


def test_instructions_go_out_once_updates_are_wanted(scripted):
    nodes = scripted(*map(update, COHORT))
    coming = intake(nodes)
    assert nodes.dispatched == []
    assert coming.tally.sent == 0
    next(iter(coming))
    assert [[told.node for told in sent] for sent in nodes.dispatched] == [list(COHORT)]
    assert coming.tally.sent == 3 * 8


def test_a_round_that_has_enough_waits_for_no_more(scripted):
    nodes = scripted(update("c"), Failure("b", ROUND, "no"), update("a"))
    coming = intake(nodes, min_updates=1)
    assert taken(coming) == ["c"]
    assert coming.tally.refused == {}
    assert nodes.abandoned == 1
    assert len(nodes.replies) == 2


@pytest.fixture
def hesitant(scripted):
    """Nodes that let a deadline pass wherever ``nothing`` is written."""

    class Hesitant(scripted):
        def receive(self, timeout):
            reply = super().receive(timeout)
            return None if reply == "nothing" else reply

    return Hesitant


def test_below_its_quorum_a_round_waits_for_its_deadline_again(hesitant):
    nodes = hesitant("nothing", update("b"), "nothing", update("a"), "nothing")
    coming = intake(nodes, deadline=60.0, quorum=2, below_quorum=QuorumPolicy.extend, attempts=3)
    assert taken(coming) == ["a", "b"]
    assert coming.tally.refused == {"c": "no reply within the deadline"}
    assert len(nodes.timeouts) == 5


@pytest.mark.parametrize(
    ("replies", "good", "waits"),
    [
        ([update("a"), update("b"), "nothing", update("c")], ["a", "b"], 3),
        ([update("a"), "nothing", update("b"), "nothing", update("c")], ["a", "b"], 4),
        ([update("a"), "nothing", update("b"), update("c")], ["a", "b", "c"], 4),
    ],
    ids=["at once", "in the time added", "all in the time added"],
)
def test_at_exactly_its_quorum_a_round_waits_no_longer_than_its_deadline(
    hesitant, replies, good, waits
):
    nodes = hesitant(*replies)
    coming = intake(nodes, deadline=60.0, quorum=2, below_quorum=QuorumPolicy.extend, attempts=9)
    assert taken(coming) == good
    assert len(nodes.timeouts) == waits
    assert set(coming.tally.refused) == {"a", "b", "c"} - set(good)


def test_a_deadline_is_extended_so_many_times_and_no_more(scripted):
    nodes = scripted()
    coming = intake(nodes, deadline=60.0, quorum=2, below_quorum=QuorumPolicy.extend, attempts=3)
    assert taken(coming) == []
    assert len(nodes.timeouts) == 3
