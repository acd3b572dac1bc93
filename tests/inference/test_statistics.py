from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.inference import statistics
from aeros_core.schema import Field

CLASSES = Field("label", "int64", (), categories=("cat", "dog", "owl"))
PRICE = Field("price", "float32", (), unit="EUR")


def answers(label, scores):
    return {"label": np.array(label), "scores": np.array(scores, "float32")}


def test_of_classes_the_share_of_each_is_told_also_of_one_that_nobody_got():
    scores = [[0.75, 0.25, 0.0], [0.5, 0.5, 0.0], [0.25, 0.75, 0.0], [1.0, 0.0, 0.0]]
    told = statistics.of(answers([0, 0, 1, 0], scores), CLASSES, np.array([0, 1, 1, 0]))
    assert told == {
        "share.cat": 0.75, "share.dog": 0.25, "share.owl": 0.0,
        "accuracy": 0.75, "confidence": 0.75,
    }  # fmt: skip


def test_rows_without_their_target_have_no_accuracy():
    assert "accuracy" not in statistics.of(answers([0], [[1.0, 0.0, 0.0]]), CLASSES, None)


def test_classes_without_names_are_called_by_their_codes():
    assert statistics.of({"label": np.array([4, 4, 7, 4])}, None, None) == {
        "share.4": 0.75, "share.7": 0.25,
    }  # fmt: skip


def test_of_numbers_where_they_lie_and_how_far_off_they_are():
    scores = {"scores": np.array([1.0, 2.0, 6.0], "float32")}
    told = statistics.of(scores, PRICE, np.array([1.0, 4.0, 5.0], "float32"))
    assert told["scores.mean"] == 3.0
    assert told["scores.std"] == pytest.approx(np.sqrt(14 / 3))
    assert (told["scores.min"], told["scores.max"]) == (1.0, 6.0)
    assert told["mae"] == 1.0
    assert told["rmse"] == pytest.approx(np.sqrt(5 / 3))


def test_a_column_of_numbers_is_held_against_a_column():
    scores = {"scores": np.array([[1.0], [2.0]], "float32")}
    assert statistics.of(scores, PRICE, np.array([2.0, 3.0], "float32"))["mae"] == 1.0


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_figures_of_nodes_together_are_those_of_all_rows_in_one_place(sizes, seed):
    rng, total = np.random.default_rng(seed), sum(sizes)
    probabilities = rng.dirichlet(np.ones(3), total).astype("float32")
    outputs = {
        "label": probabilities.argmax(axis=1),
        "scores": probabilities,
        "energy": rng.normal(3.0, 5.0, total).astype("float32"),
    }
    truth = rng.integers(3, size=total)
    _together_as_apart(outputs, CLASSES, truth, sizes)
    _together_as_apart({"scores": outputs["energy"]}, PRICE, rng.normal(size=total), sizes)


def _together_as_apart(outputs, target, truth, sizes):
    ends = np.cumsum([0, *sizes])
    rows = []
    for low, high in pairwise(ends):
        part = {name: values[low:high] for name, values in outputs.items()}
        rows.append({"examples": high - low, **statistics.of(part, target, truth[low:high])})
    whole = statistics.of(outputs, target, truth)
    assert statistics.merged(rows) == pytest.approx(whole, rel=1e-9, abs=1e-9)


def test_what_only_some_nodes_could_measure_is_theirs_alone():
    rows = [{"examples": 1, "accuracy": 1.0, "confidence": 0.5}, {"examples": 3, "confidence": 0.9}]
    assert statistics.merged(rows) == {"accuracy": 1.0, "confidence": pytest.approx(0.8)}
