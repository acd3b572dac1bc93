import numpy as np
import pytest

from aeros_core.data import Dataset
from aeros_core.inference import worker as inference_worker
from aeros_core.inference.worker import InferenceWorker
from aeros_core.messages import Action, Instruction
from aeros_core.schema import Field, Schema
from aeros_core.tasks.task import InferenceOutput

RAW = Schema((Field("x", "float32", ()), Field("y", "float32", ())), target="y")


class Doubles:
    """Answers with twice what comes, and remembers how many rows came at a time."""

    def __init__(self, parameters):
        self.factor, self.seen = float(parameters.vector[0]), []

    def predict(self, batch):
        self.seen.append({name: len(values) for name, values in batch.items()})
        return {"scores": self.factor * batch["x"]}


@pytest.fixture
def rows():
    x = np.arange(10, dtype="float32")
    return Dataset(RAW, {"x": x, "y": 3 * x})


def infer(flat, node="a", value=2.0):
    return Instruction(1, node, flat(value), Action.INFER)


def test_figures_alone_are_sent_unless_answers_are_asked_for(rows, flat):
    scores = InferenceWorker(Doubles, RAW, InferenceOutput.statistics).answer(infer(flat), rows)
    assert (scores.node, scores.round, scores.examples) == ("a", 1, 10)
    assert scores.metrics["scores.mean"] == 9.0
    assert scores.metrics["mae"] == 4.5
    assert scores.outputs == {}
    assert scores.nbytes == 0


def test_answers_come_with_the_numbers_of_their_rows(rows, flat):
    mine = rows.take(np.array([7, 2]))
    scores = InferenceWorker(Doubles, RAW, InferenceOutput.predictions).answer(infer(flat), mine)
    assert scores.outputs["row"].tolist() == [7, 2]
    assert scores.outputs["scores"].tolist() == [14.0, 4.0]
    assert scores.nbytes == 2 * 8 + 2 * 4


def test_the_target_is_not_shown_to_the_model_and_many_rows_come_in_parts(rows, flat, monkeypatch):
    monkeypatch.setattr(inference_worker, "ROWS", 4)
    made = []
    worker = InferenceWorker(
        lambda p: made.append(Doubles(p)) or made[-1], RAW, InferenceOutput.predictions
    )
    scores = worker.answer(infer(flat), rows)
    assert made[0].seen == [{"x": 4}, {"x": 4}, {"x": 2}]
    assert scores.outputs["scores"].tolist() == (2 * np.arange(10)).tolist()


def test_the_model_stays_warm_as_long_as_its_parameters_stay(rows, flat):
    made = []
    worker = InferenceWorker(
        lambda p: made.append(p) or Doubles(p), RAW, InferenceOutput.statistics
    )
    first = infer(flat)
    worker.answer(first, rows)
    worker.answer(Instruction(1, "b", first.parameters, Action.INFER), rows)
    assert len(made) == 1
    assert worker.answer(infer(flat, value=3.0), rows).metrics["mae"] == 0.0
    assert len(made) == 2


def test_rows_without_a_target_are_answered_too(flat):
    raw = Schema((Field("x", "float32", ()),))
    data = Dataset(raw, {"x": np.ones(3, "float32")})
    scores = InferenceWorker(Doubles, RAW, InferenceOutput.statistics).answer(infer(flat), data)
    assert "mae" not in scores.metrics
    assert scores.metrics["scores.max"] == 2.0


def test_classes_are_told_apart_by_their_names(flat):
    """A node that holds owls alone calls them class 0."""

    class Owls:
        def predict(self, batch):
            return {"label": np.full(len(batch["x"]), 2)}

    known = Schema(
        (Field("x", "float32", ()), Field("y", "int64", (), categories=("a", "b", "owl"))), "y"
    )
    mine = Schema(
        (Field("x", "float32", ()), Field("y", "int64", (), categories=("owl", "yeti"))), "y"
    )
    data = Dataset(mine, {"x": np.zeros(4, "float32"), "y": np.array([0, 0, 0, 1])})
    scores = InferenceWorker(lambda _: Owls(), known, InferenceOutput.statistics).answer(
        infer(flat), data
    )
    assert scores.metrics["accuracy"] == 0.75
