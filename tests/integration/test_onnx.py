"""What was trained answers as ONNX too: whole, in 8 bits, and in two stages."""

import json

import numpy as np
import pytest
from forked_python import completed

ANSWER = """
import json, sys
import numpy as np
from aeros_core.config import build, store
from aeros_core.plugins import discovery

registry = discovery.discover()
cfg = store.plain(store.load([], registry, root="models"))
repository = build.build_part(registry, "repository", cfg["repository"])
whole = repository.model(sys.argv[1])
run = [r for r in repository.runs() if r.id == whole.run][-1]
name, source = next(iter(run.config["transformer"].items()))
test = build.build_part(registry, "transformer", source, name).load("test")
batch = {k: v for k, v in test.batch().items() if k != test.schema.target}
target = test.batch()[test.schema.target]
told = {}
for case, (names, words) in json.loads(sys.argv[2]).items():
    answer = batch
    for model in names:
        node = store.load(words, registry, root="models")
        service = build.build_service(registry, repository.model(model), node["inferencer"])
        answer = service.predict(answer)
    told[case] = float(np.mean(answer["label"] == target))
print(json.dumps(told))
"""


@pytest.fixture
def accuracy(aeros):
    """A function that returns the accuracy of models, one behind the other, by case."""

    def measured(model, **cases):
        done = completed(["-c", ANSWER, model, json.dumps(cases)], cwd=aeros.folder)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return measured


def test_what_was_trained_answers_as_onnx(aeros, accuracy):
    aeros("run", "task.rounds=5")
    reported = aeros.result()["metrics"]["accuracy"]
    told = aeros("models", "export", "digits", "digits.onnx").splitlines()
    assert told[0].startswith("digits.onnx holds digits, ")
    assert told[1].startswith("it answers as the model does on 16 stored rows and 34 drawn ones")
    assert aeros("models", "import", "digits.onnx", "--name", "again").startswith("again:1 is sto")
    out = aeros("models", "split", "digits", "--at", "layers.1")
    assert out.startswith("digits.stage1:1 is stored, ")
    told = accuracy(
        "digits",
        onnx=[["digits"], ["+inferencer=onnx"]],
        int8=[["digits"], ["+inferencer=onnx", "inferencer.quantise=int8"]],
        torch_int8=[["digits"], ["+inferencer=torch", "inferencer.quantise=int8"]],
        stages=[["digits.stage1", "digits.stage2"], ["+inferencer=onnx"]],
    )
    assert told["onnx"] == pytest.approx(reported)
    assert told["stages"] == pytest.approx(reported)
    assert told["int8"] > reported - 0.005
    assert told["torch_int8"] > reported - 0.005
    shown = json.loads(aeros("models", "show", "digits.stage2", "--json"))
    assert shown["parents"] == [json.loads(aeros("models", "show", "digits", "--json"))["digest"]]


@pytest.mark.parametrize(
    "words",
    [
        [
            "trainer/model=cnn",
            "trainer.model.channels=[4,4]",
            "trainer.model.hidden=[16]",
            "trainer.engine=sequential",  # it has no kernels to compile
        ],
        ["trainer/model=softmax"],
        ["experiment=breast_cancer"],
    ],
    ids=["cnn", "softmax", "table"],
)
def test_models_of_other_kinds_are_exported(aeros, words):
    onnxruntime = pytest.importorskip("onnxruntime")
    aeros("run", "task.rounds=1", "task.name=other", *words)
    aeros("models", "export", "other", "other.onnx")
    session = onnxruntime.InferenceSession(aeros.folder / "other.onnx")
    (taken,) = session.get_inputs()
    scores = session.run(["scores"], {taken.name: np.zeros((3, *taken.shape[1:]), np.float32)})[0]
    assert len(scores) == 3


def test_rows_of_ones_own_table_are_kept_only_if_that_is_asked_for(aeros):
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{'hi' if a > b else 'lo'}" for a, b in rng.standard_normal((99, 2))]
    (aeros.folder / "own.csv").write_text("\n".join(["a,b,level", *rows]))
    words = ["experiment=null", "transformer=[table,iid,standardise,stack]", "task.rounds=1"]
    words += ["transformer.table.path=own.csv", "transformer.table.label=level", "task.name=own"]
    aeros("run", *words)
    told = aeros("models", "export", "own", "own.onnx").splitlines()
    assert "on 34 drawn rows, " in told[1]
    assert told[2] == "no rows are stored with it: --samples FILE, or task.samples=16"
    told = aeros("models", "export", "own", "own.onnx", "--samples", "own.csv").splitlines()
    assert told[1].startswith("it answers as the model does on 99 rows of own.csv and 34 drawn on")
    aeros("run", *words, "task.samples=8")
    told = aeros("models", "export", "own", "own.onnx").splitlines()
    assert told[1].startswith("it answers as the model does on 8 stored rows and 34 drawn ones")


def test_what_cannot_be_is_told_without_a_trace(aeros):
    (aeros.folder / "bad.onnx").write_bytes(b"no graph at all")
    err = aeros("models", "import", "bad.onnx", "--name", "bad", code=1)
    assert err == (
        "aeros: bad.onnx is no whole ONNX file\n  next: bring it from its origin again\n"
    )
    err = aeros("models", "export", "nobody", "nobody.onnx", code=1)
    assert err.startswith("aeros: ")
    assert "Traceback" not in err
