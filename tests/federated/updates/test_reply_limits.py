"""What a node may send beside its parameters, and why the rest is refused."""

import time

import numpy as np
import pytest

from aeros_core.federated.updates.reply_limits import MOST_ARRAYS, MOST_FIGURES, NAME_LENGTH
from aeros_core.federated.updates.validation import fault, within_stated
from aeros_core.messages import Evaluation, Failure, Predictions, Update
from aeros_core.tasks.round_counters import Refusal, RoundCounters, shown

BAD = {
    "many": ({f"m{i}": 0.0 for i in range(200_000)}, "figures", "200000 metrics, at most 1000"),
    "one too many": ({f"m{i}": 0.0 for i in range(MOST_FIGURES + 1)}, "figures", "1001 metrics"),
    "long name": ({"x" * 201: 0.0}, "figures", "a name has 201 characters"),
    "no name": ({"": 0.0}, "figures", "a name has 0 characters"),
    "forged line": ({"loss\nround 3: fine": 0.0}, "figures", "control characters"),
    "escape": ({"\x1b[31mloss": 0.0}, "figures", "control characters"),
    "right to left": ({"loss\u202e": 0.0}, "figures", "control characters"),
    "number as name": ({7: 0.0}, "figures", "a name is int, not text"),
    "reserved": ({"examples": 1e15}, "figures", "'examples', which a reply has already"),
    "text": ({"loss": "0.1"}, "figures", "'loss' among its metrics is str, not a number"),
    "bool": ({"loss": True}, "figures", "is bool, not a number"),
    "numpy's bool": ({"loss": np.True_}, "figures", "bool, not a number"),
    "list": ({"loss": [0.1]}, "figures", "is list, not a number"),
    "none": ({"loss": None}, "figures", "is NoneType, not a number"),
    "complex": ({"loss": 1j}, "figures", "is complex, not a number"),
    "nested": ({"a": {"b": {}}}, "figures", "is dict, not a number"),
    "no mapping": ([("loss", 0.1)], "figures", "metrics are list, not numbers by name"),
    "nan": ({"loss": float("nan")}, "not finite", "NaN or infinity among its metrics"),
    "infinite": ({"loss": -np.inf}, "not finite", "NaN or infinity among its metrics"),
    "numpy's nan": ({"loss": np.float32("nan")}, "not finite", "NaN or infinity"),
    "huge": ({"loss": 10**400}, "not finite", "NaN or infinity among its metrics"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_update_with_bad_metrics_is_refused_and_counted(case, flat):
    metrics, kind, told = BAD[case]
    refusal = fault(Update("a", 1, flat(1, 2), 3, metrics), flat(0, 0), None)
    assert refusal is not None
    assert refusal.kind == kind
    assert told in refusal.text
    assert len(refusal.text) < 300


@pytest.mark.parametrize("case", BAD)
def test_bad_scalars_are_refused_alike(case, flat):
    scalars, kind, told = BAD[case]
    refusal = fault(Update("a", 1, flat(1, 2), 3, scalars=scalars), flat(0, 0), None)
    assert refusal is not None
    assert refusal.kind == kind
    assert told.replace("metrics", "scalars") in refusal.text


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"loss": 1},
        {"loss": np.float32(0.5), "n": np.int64(3), "größe.μ": 0.0},
        {"x" * NAME_LENGTH: 0.0},
        {f"m{i}": 0.0 for i in range(MOST_FIGURES)},
    ],
)
def test_good_metrics_pass_and_become_floats(metrics, flat):
    update = Update("a", 1, flat(1, 2), np.int64(3), metrics)
    assert fault(update, flat(0, 0), None) is None
    tally = RoundCounters()
    tally.accept(update)
    assert all(type(value) is float for n, value in tally.accepted["a"].items() if n != "examples")
    assert type(tally.accepted["a"]["examples"]) is int


@pytest.mark.parametrize(
    ("vectors", "told"),
    [
        ({f"v{i}": np.zeros(1) for i in range(MOST_ARRAYS + 1)}, "101 vectors, at most 100"),
        ({"v": np.zeros(3)}, "has 3 elements, at most 2"),
        ({"v\n": np.zeros(1)}, "control characters"),
        ({"../v": np.zeros(1)}, "could not be stored"),
    ],
)
def test_vectors_beside_the_parameters_have_bounds(vectors, told, flat):
    refusal = fault(Update("a", 1, flat(1, 2), 3, vectors=vectors), flat(0, 0), None)
    assert refusal is not None
    assert told in refusal.text


def test_a_reply_with_200_000_metrics_costs_next_to_nothing(flat):
    update = Update("a", 1, flat(1, 2), 3, {f"m{i}": 0.0 for i in range(200_000)})
    began = time.process_time()
    for _ in range(1000):
        fault(update, flat(0, 0), None)
    assert time.process_time() - began < 10  # a look at each would take minutes


def test_figures_that_no_message_could_carry_fail_on_their_node(flat):
    for reply in (
        Update("a", 1, flat(1, 2), 3, {"loss": "x"}),
        Update("a", 1, flat(1, 2), 3, scalars={"steps": "x"}),
        Evaluation("a", 1, 3, {"loss": "x"}),
        Predictions("a", 1, 3, {"loss": "x"}),
    ):
        failed = within_stated(reply, 3)
        assert isinstance(failed, Failure)
        assert failed.kind == "figures"


def test_predictions_may_have_a_figure_for_every_class():
    scores = Predictions("a", 1, 3, {f"share.{i}": 0.0 for i in range(30_000)})
    assert within_stated(scores, 3) is scores


def test_reasons_are_one_line_without_control_characters():
    tally = RoundCounters()
    tally.refuse("a", Refusal("failed", "oops\nround 9/9  accuracy 1.0\x1b[2J" + "x" * 10**6))
    assert tally.refused["a"].startswith("oops round 9/9  accuracy 1.0 [2Jxxx")
    assert len(tally.refused["a"]) <= 2001
    assert shown("plain") == "plain"
