import pytest

from aeros_core.federated import selection
from aeros_core.federated.evaluation import evaluate_on_nodes
from aeros_core.messages import Evaluation, Failure, Update
from aeros_core.tasks.control import Cancelled, Control
from aeros_core.tasks.round_counters import RoundCounters
from aeros_core.tasks.task import Task

NAMES = ["a", "b", "c"]


def measured(node, examples=1, **metrics):
    return Evaluation(node, 2, examples, metrics)


@pytest.fixture
def asked(flat):
    def ask(nodes, control=None, **options):
        task, tally = Task(**options), RoundCounters()
        sent = selection.ask(task, flat(1, 2), 2, NAMES)
        return evaluate_on_nodes(nodes, task, sent, (control or Control()).check, tally), tally

    return ask


def test_the_mean_is_weighted_by_examples(asked, scripted):
    nodes = scripted(measured("b", 1, loss=4.0), measured("a", 3, loss=0.0), measured("c", loss=1))
    metrics, tally = asked(nodes, max_share=1)
    assert metrics == {"loss": 1.0}
    assert tally.capped == {}
    assert tally.sent == 3 * 8
    assert tally.dropped == {}
    assert not nodes.abandoned


def test_who_fails_is_counted_and_left_out(asked, scripted, flat):
    nodes = scripted(
        Evaluation("a", 1, 5, {"loss": 9.0}),
        measured("a", loss=2.0),
        measured("a", loss=9.0),
        Failure("b", 2, "no data"),
        Update("c", 2, flat(1, 2), 5),
    )
    metrics, tally = asked(nodes)
    assert metrics == {"loss": 2.0}
    assert tally.dropped == {
        "a": {"late": 1, "duplicate": 1}, "b": {"evaluation": 1}, "c": {"evaluation": 1},
    }  # fmt: skip
    assert tally.received == 8


def test_an_evaluation_of_nothing_is_left_out(asked, scripted):
    nodes = scripted(measured("a", 0, loss=9.0), measured("b", loss=2.0), measured("c", loss=2.0))
    metrics, tally = asked(nodes)
    assert metrics == {"loss": 2.0}
    assert tally.dropped == {"a": {"examples": 1}}


def test_nobody_waits_beyond_the_deadline(asked, scripted):
    nodes = scripted(measured("b", loss=2.0))
    metrics, tally = asked(nodes, deadline=60.0)
    assert metrics == {"loss": 2.0}
    assert tally.dropped == {"a": {"no reply": 1}, "c": {"no reply": 1}}
    assert nodes.abandoned == 1
    assert all(0 < timeout <= 60 for timeout in nodes.timeouts)


def test_it_can_be_cancelled(asked, scripted):
    control = Control()
    control.cancel()
    with pytest.raises(Cancelled):
        asked(scripted(*map(measured, NAMES)), control)


def test_no_node_has_more_than_its_share_of_the_mean(asked, scripted):
    replies = [measured("a", 10**15, loss=0.0), measured("b", 1, loss=4.0), measured("c", loss=1)]
    metrics, tally = asked(scripted(*replies))
    assert metrics == {"loss": pytest.approx((2 * 0.0 + 4.0 + 1.0) / 4)}
    assert tally.capped == {"a": {"evaluate": 2}}


HUGE = pytest.param(10**5000, id="huge")
NO_NUMBERS = [float("nan"), float("inf"), -3, True, 2**53 + 1, HUGE, "9", None]


@pytest.mark.parametrize("examples", NO_NUMBERS)
def test_an_evaluation_of_no_number_of_examples_is_refused(asked, scripted, examples):
    replies = [measured("a", examples, loss=9.0), measured("b", loss=2.0), measured("c", loss=2.0)]
    metrics, tally = asked(scripted(*replies))
    assert metrics == {"loss": 2.0}
    assert tally.dropped == {"a": {"examples": 1}}
