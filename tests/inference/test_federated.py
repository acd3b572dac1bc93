import json
from dataclasses import replace

import numpy as np
import pytest

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError, TaskError
from aeros_core.inference import federated
from aeros_core.inference.federated import FederatedInference
from aeros_core.messages import Action, Evaluation, Failure, Predictions
from aeros_core.records import Model
from aeros_core.results import Status
from aeros_core.schema import Field, Schema
from aeros_core.tasks.control import Cancelled, Control
from aeros_core.tasks.presets import Inference
from aeros_core.tasks.task import InferenceOutput, InferenceSplit

POINT = Field("point", "float32", (2,))
LABEL = Field("label", "int64", (), categories=("a", "b", "c"))
SCHEMA = Schema((replace(POINT, range=(0.0, 1.0)), LABEL), target="label")


@pytest.fixture
def model(parts, flat):
    """A stored model, and the parts that found it."""
    made = parts()
    made.repository.publish(Model("toy", flat(1.0, 2.0), SCHEMA, inputs=SCHEMA))
    return made.repository.model("toy"), made


def asked(model, nodes, **options):
    found, parts = model
    task = Inference(**{"start": "toy:1"} | options)
    return FederatedInference(task, parts, nodes, found).run()


def scores(node, examples, **metrics):
    return Predictions(node, 1, examples, metrics)


def test_what_all_nodes_say_is_merged_and_recorded(model, scripted, heard):
    nodes = scripted(
        scores("client-1", 1, accuracy=0.0),
        scores("client-0", 3, accuracy=1.0),
        Failure("client-2", 1, "no data"),
    )
    result = asked(model, nodes)
    found, parts = model
    assert (result.status, result.rounds, result.metrics) == (
        Status.FINISHED, 1, {"accuracy": 0.75},
    )  # fmt: skip
    assert result.model == {"name": "toy", "version": 1, "digest": found.parameters.digest}
    assert result.dropped == {"inference": 1}
    [run] = parts.repository.runs("inference")
    [done] = parts.repository.history(run.id)
    assert done.nodes["client-0"] == {"examples": 3, "accuracy": 1.0}
    assert done.refused == {"client-2": "inference: no data"}
    assert parts.repository.result(run.id) == result.to_json()
    assert [told["scores"].node for told in heard.of("after_scores")] == ["client-1", "client-0"]
    assert heard.names()[-3:] == ["after_round", "on_status", "after_task"]


def test_nodes_are_told_to_infer_with_the_models_parameters(model, scripted):
    nodes = scripted(*(scores(f"client-{i}", 1, accuracy=1.0) for i in range(3)))
    asked(model, nodes, deadline=5.0)
    [sent] = nodes.dispatched
    assert {told.node for told in sent} == {"client-0", "client-1", "client-2"}
    assert {told.action for told in sent} == {Action.INFER}
    assert {told.deadline for told in sent} == {5.0}
    assert all(told.parameters is model[0].parameters for told in sent)


def test_below_the_quorum_the_task_fails_and_says_why(model, scripted):
    nodes = scripted(scores("client-0", 1, accuracy=1.0), Evaluation("client-1", 1, 2, {}))
    with pytest.raises(TaskError) as failed:
        asked(model, nodes, quorum=2, deadline=5.0)
    assert str(failed.value) == (
        "1 nodes answered, task.quorum is 2\n"
        "  exists: client-1: no inference, but something else; client-2: no reply within the"
        " deadline\n"
        "  next: mend what the nodes report, then the same command again"
    )
    parts = model[1]
    [run] = parts.repository.runs("inference")
    assert parts.repository.result(run.id)["status"] == "FAILED"
    assert nodes.abandoned


def test_a_cohort_of_nodes_is_enough(model, scripted):
    nodes = scripted(*(scores(f"client-{i}", 1, accuracy=1.0) for i in range(3)))
    asked(model, nodes, cohort=2)
    assert len(nodes.dispatched[0]) == 2


def test_more_nodes_than_there_are_cannot_be_asked(model, scripted):
    with pytest.raises(ConfigError, match=r"task\.cohort=9 asks for more nodes"):
        asked(model, scripted(), cohort=9)
    assert not model[1].repository.runs("inference")


def test_resumed_after_its_end_nothing_is_asked_again(model, scripted):
    nodes = scripted(*(scores(f"client-{i}", 1, accuracy=1.0) for i in range(3)))
    first = asked(model, nodes)
    again = scripted()
    second = asked(model, again, resume=True)
    assert again.dispatched == []
    assert (second.metrics, second.model) == (first.metrics, first.model)


def test_it_can_be_cancelled_between_two_answers(model, scripted, heard):
    control = Control()
    found, parts = model
    made = replace(parts, control=control)

    class Cancels(scripted):
        def receive(self, timeout):
            control.cancel()
            return super().receive(timeout)

    nodes = Cancels(*(scores(f"client-{i}", 1, accuracy=1.0) for i in range(3)))
    with pytest.raises(Cancelled):
        asked((found, made), nodes)
    assert heard.of("after_task")[0]["result"].status is Status.CANCELLED


class Rows:
    """A source of two rows of any schema."""

    def __init__(self, fields, target=None):
        self.schema = Schema(fields, target)

    def load(self, split):
        if split == "test":
            return None
        dtypes = {f.name: "<U9" if f.dtype == "str" else f.dtype for f in self.schema.fields}
        columns = {f.name: np.zeros((2, *f.shape), dtypes[f.name]) for f in self.schema.fields}
        return Dataset(self.schema, columns)


@pytest.mark.parametrize(
    ("fields", "target", "line"),
    [
        ((POINT,), None, None),
        ((POINT, LABEL), "label", None),
        ((LABEL, POINT), "label", None),
        ((POINT, LABEL), None, None),
        ((Field("point", "float32", (3,)), LABEL), "label", "column 'point' has another shape"),
        ((LABEL,), "label", "column 'point' is missing"),
        ((POINT, LABEL, Field("age", "int64", ())), "label", None),
        ((POINT, replace(LABEL, categories=("b",))), "label", None),
        ((POINT, replace(LABEL, categories=("unheard",))), "label", None),
        ((replace(POINT, range=(-9.0, 9.0)), LABEL), "label", None),
        ((POINT, Field("label", "float32")), "label", None),
    ],
)
def test_rows_are_brought_to_what_the_model_takes(fields, target, line, flat):
    model = Model("toy", flat(1.0), SCHEMA, inputs=SCHEMA)
    task = Inference(start="toy:1")
    if line is None:
        data = federated.prepare({"rows": Rows(fields, target)}, task, model)
        assert data.schema.names == tuple(n for n in SCHEMA.names if n in Schema(fields).names)
        return
    with pytest.raises(ConfigError) as refused:
        federated.prepare({"rows": Rows(fields, target)}, task, model)
    assert str(refused.value).startswith(f"the data are not what model 'toy' takes: {line}")


def test_a_model_that_does_not_say_what_it_takes_is_refused(flat):
    model = Model("toy", flat(1.0), SCHEMA, transformers={"scale": {}})
    with pytest.raises(ConfigError, match="does not say what its data are"):
        federated.prepare({"rows": Rows((POINT, LABEL))}, Inference(start="toy:1"), model)


# ---------------------------------------------------------------- from the command line


def test_a_trained_model_answers_where_the_data_lie(aeros, toy_words, tmp_path, toys):
    words = [*toy_words, "repository.path=store", "task.rounds=4", "task.name=toy"]
    assert aeros("run", *words).returncode == 0
    more = ["task=inference", "task.start=toy", "inferencer=scores", "task.collect=predictions"]
    done = aeros("run", *words, *more, "task.name=ask")
    assert done.returncode == 0, done.stderr
    assert "6 nodes answered 480 rows  accuracy " in done.stdout
    assert "model toy version 1 answered" in done.stdout
    [folder] = tmp_path.glob("outputs/ask/*")
    result = json.loads((folder / "result.json").read_text())
    splits = [toys.Blobs(examples=240, nan=False).load(name) for name in ("train", "test")]
    labels = np.concatenate([data.columns["label"] for data in splits])
    right, rows = 0, []
    for number in range(6):
        with np.load(folder / "predictions" / f"client-{number}.npz") as answers:
            right += int((answers["label"] == labels[answers["row"]]).sum())
            rows += answers["row"].tolist()
            np.testing.assert_array_equal(answers["scores"].argmax(1), answers["label"])
    assert sorted(rows) == list(range(480))
    assert result["metrics"]["accuracy"] == pytest.approx(right / 480)
    assert result["metrics"]["accuracy"] > 0.9
    assert not (folder / "curve.png").exists()


@pytest.mark.parametrize(("over", "rows"), [("train", 240), ("test", 240), ("all", 480)])
def test_which_rows_are_answered_about_is_an_option(toys, flat, over, rows):
    model = Model("toy", flat(1.0), SCHEMA, inputs=SCHEMA)
    steps = {"blobs": toys.Blobs(examples=240, nan=False), "even": toys.Even(clients=3)}
    task = Inference(start="toy", split=InferenceSplit[over])
    data = federated.prepare({**steps, "scale": toys.Scale()}, task, model)
    assert (len(data.train), len(data.partition), data.fitted) == (rows, 3, {})
    split = "test" if over == "test" else "train"
    was = steps["blobs"].load(split)
    np.testing.assert_array_equal(data.train.columns["point"][:240], was.columns["point"])


def test_a_source_without_the_rows_that_are_asked_for_is_told(toys, flat):
    class Trains(toys.Blobs):
        def load(self, split):
            return super().load(split) if split == "train" else None

    model = Model("toy", flat(1.0), SCHEMA, inputs=SCHEMA)
    source = {"blobs": Trains(examples=9, nan=False)}
    assert len(federated.prepare(source, Inference(start="toy"), model).train) == 9
    with pytest.raises(ConfigError, match=r"task\.split=test: the source has no such rows"):
        federated.prepare(source, Inference(start="toy", split=InferenceSplit.test), model)


def test_what_comes_home_is_figures_unless_more_is_asked_for(aeros, toy_words, tmp_path):
    words = [*toy_words, "repository.path=store", "task.rounds=1", "task.name=toy"]
    aeros("run", *words)
    asks = ["task=inference", "task.start=toy", "inferencer=scores", "task.name=ask"]
    assert aeros("run", *words, *asks).returncode == 0
    [folder] = tmp_path.glob("outputs/ask/*")
    assert not (folder / "predictions").exists()
    assert InferenceOutput.statistics.name in (folder / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "task=inference answers with a stored model, and none is named"),
        (["task.start=nothing"], "task.start=nothing names no stored model"),
        (["task.start=toy:9"], "task.start=toy:9: toy has no version and no tag '9'"),
        (
            ["task.start=toy", "++task.subtasks={train:{kind:train}}"],
            "a task trains or infers; task.subtasks does both",
        ),
        (
            ["task.start=toy", "task.subtasks.infer.inputs=[model]"],
            "sub-task 'infer' reads 'model', which no sub-task makes",
        ),
    ],
)
def test_what_cannot_be_asked_is_told(aeros, toy_words, words, told):
    common = [*toy_words, "repository.path=store", "task.rounds=1", "task.name=toy"]
    aeros("run", *common)
    done = aeros("run", *common, "task=inference", "inferencer=scores", *words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"aeros: {told}")
