"""A model with an exit: what is sure leaves on one element, the rest is answered by another."""

import json
import urllib.request

import numpy as np
import pytest
from forked_python import completed

MODEL = [
    "trainer/model=early_exit", "trainer.model.trunk.hidden=[32,64]", "trainer.model.at=layers.1",
    "trainer.lr=0.05", "trainer.momentum=0.9", "task.rounds=10",
]  # fmt: skip
SWITCH = ["inferencer.onward=answer", "inferencer.order=[edge,cloud]"]
REMOTE = [
    "+inferencer.members.edge={}", "+inferencer@inferencer.members.cloud.inferencer=remote",
    "inferencer.members.cloud.inferencer.model=digits.stage2",
]  # fmt: skip

ANSWER = """
import json, sys
import numpy as np
from aeros_core.config import build, store
from aeros_core.plugins import discovery

registry, image = discovery.discover(), np.load("test.npz")["image"]

def service(model, *words):
    cfg = store.plain(store.load(words, registry, root="models"))
    repository = build.build_part(registry, "repository", cfg["repository"])
    found = repository.model(model)
    return build.build_service(registry, found, cfg["inferencer"], repository=repository)

def told(service):
    return {name: column.tolist() for name, column in service.predict({"image": image}).items()}

members = ["+inferencer.members.edge=digits.stage1", "+inferencer.members.cloud=digits.stage2"]
found = {"whole": told(service("digits", "+inferencer=torch"))}
found["exit"] = told(service("digits.stage1", "+inferencer=onnx"))
for threshold in ("0.0", "0.9", "1.0"):
    words = ["+inferencer=switch", *sys.argv[1:], *members, f"inferencer.threshold={threshold}"]
    found[threshold] = told(service("digits", *words))
print(json.dumps(found))
"""


def answered(server, image):
    """Return the labels of all rows, asked in JSON."""
    tensor = {"name": "image", "datatype": "FP32", "shape": list(image.shape)}
    body = json.dumps({"inputs": [{**tensor, "data": image.ravel().tolist()}]}).encode()
    url = f"http://{server.http}/v2/models/digits.stage1/infer"
    with urllib.request.urlopen(url, body, 120) as back:
        told = {each["name"]: each["data"] for each in json.loads(back.read())["outputs"]}
    assert set(told) == {"scores", "label"}
    return told["label"]


def rows_of(server, model):
    """Return how many rows a model has answered."""
    with urllib.request.urlopen(f"http://{server.http}/v2/models/{model}/stats", None, 60) as back:
        return json.loads(back.read())["model_stats"][0]["inference_count"]


def test_what_is_sure_leaves_early_and_the_rest_goes_on(aeros, serve, raw_test):
    aeros("run", *MODEL)
    reported = aeros.result()["metrics"]["accuracy"]
    said = aeros("models", "split", "digits", "--at", "layers.1", "--exit").splitlines()
    assert said[0].endswith("takes image: float32 (8, 8), and answers at its exit")

    batch = raw_test("experiment=digits")
    command = ["-c", ANSWER, *SWITCH]
    done = completed(command, cwd=aeros.folder)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    right = {case: np.array(each["label"]) == batch["label"] for case, each in told.items()}
    assert right["whole"].mean() == pytest.approx(reported)
    # Where nobody leaves it is the whole that answers, where all do the exit.
    assert told["1.0"]["label"] == told["whole"]["label"]
    np.testing.assert_allclose(told["1.0"]["scores"], told["whole"]["scores"], 1e-4, 1e-6)
    assert told["0.0"]["label"] == told["exit"]["label"]
    sure = np.max(told["exit"]["scores"], 1) >= np.float32(0.9)
    assert 0.5 < sure.mean() < 0.9
    assert right["exit"][sure].mean() > 0.98 > right["exit"][~sure].mean()
    assert right["0.9"].mean() > reported - 0.01

    second = serve("model=digits.stage2", "inferencer=onnx")
    url = f"inferencer.members.cloud.inferencer.url=http://{second.http}"
    words = ["inferencer=switch", *SWITCH, *REMOTE, url, "inferencer.threshold=0.9"]
    first = serve("model=digits.stage1", *words)
    before = rows_of(second, "digits.stage2")  # what warming asked for
    assert answered(first, batch["image"]) == told["0.9"]["label"]
    assert rows_of(second, "digits.stage2") - before == np.sum(~sure)
    for server in (first, second):
        code, said = server.end()
        assert code == 0, said
