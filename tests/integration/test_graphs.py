"""Models answer together: as configured, each with its own transformers."""

import json
import re
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from forked_python import completed

ANSWER = """
import json, sys
import numpy as np
from aeros_core.config import build, store
from aeros_core.plugins import discovery
from aeros_core.errors import AerosError

registry = discovery.discover()
told = {}
for case, words in json.loads(sys.argv[1]).items():
    try:
        cfg = store.plain(store.load(words, registry, root="models"))
        repository = build.build_part(registry, "repository", cfg["repository"])
        model = repository.model("digits")
        run = [r for r in repository.runs() if r.id == model.run][-1]
        name, source = next(iter(run.config["transformer"].items()))
        test = build.build_part(registry, "transformer", source, name).load("test").batch()
        service = build.build_service(registry, model, cfg["inferencer"], repository=repository)
        answer = service.predict({"image": test["image"]})["label"]
        told[case] = float(np.mean(answer == test["label"]))
    except AerosError as error:
        told[case] = str(error)
print(json.dumps(told))
"""


@pytest.fixture
def answers(aeros):
    """A function that returns the accuracy of each configuration, or what is wrong with it."""

    def measured(**cases):
        done = completed(["-c", ANSWER, json.dumps(cases)], cwd=aeros.folder)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return measured


def over_http(server, batch):
    """Return the accuracy of the model digits on a server, asked in JSON."""
    image = batch["image"]
    tensor = {"name": "image", "datatype": "FP32", "shape": list(image.shape)}
    body = json.dumps({"inputs": [{**tensor, "data": image.ravel().tolist()}]}).encode()
    with urllib.request.urlopen(f"http://{server.http}/v2/models/digits/infer", body, 120) as back:
        told = {each["name"]: each["data"] for each in json.loads(back.read())["outputs"]}
    return float(np.mean(np.array(told["label"]) == batch["label"]))


def test_models_answer_together(aeros, answers, serve, raw_test):
    aeros("run", "task.rounds=1", "task.name=early")
    early = aeros.result()["metrics"]["accuracy"]
    aeros("run", "task.rounds=5")
    late = aeros.result()["metrics"]["accuracy"]
    aeros("models", "split", "digits", "--at", "layers.1")
    onnx = "+inferencer@inferencer.members.a.inferencer=onnx"
    told = answers(
        stages=[
            "+inferencer=sequence", "inferencer.order=[z,a]",
            "+inferencer.members.z=digits.stage1", "+inferencer.members.a=digits.stage2",
        ],
        certain=[
            "+inferencer=ensemble", "inferencer.combine=weighted", onnx,
            "inferencer.members.a.inferencer.batch_size=7",
            "+inferencer.members.a.weight=1e9", "+inferencer.members.b=early",
        ],
        all_go_on=[
            "+inferencer=switch", "inferencer.order=[b,a]", "inferencer.threshold=1.0",
            "+inferencer.members.b=early", "+inferencer.members.a=digits:1",
        ],
        none_goes_on=[
            "+inferencer=switch", "inferencer.order=[b,a]", "inferencer.threshold=0.0",
            "+inferencer.members.b=early", "+inferencer.members.a=digits:1",
        ],
        halves=["+inferencer=splitter", "+inferencer.members.a={}", "+inferencer.members.b=early"],
        foreign=[
            "+inferencer=ensemble", "+inferencer.members.a={inferencer: {_target_: os.system}}",
            "+inferencer.members.b=early",
        ],
        nobody=["+inferencer=ensemble", "+inferencer.members.a={}", "+inferencer.members.b=nobody"],
    )  # fmt: skip
    assert told["stages"] == pytest.approx(late)
    assert told["certain"] == pytest.approx(late)
    assert told["all_go_on"] == pytest.approx(late)
    assert told["none_goes_on"] == pytest.approx(early)
    assert min(early, late) < told["halves"] < max(early, late)
    assert told["foreign"].startswith(
        "member 'a': inferencer: _target_=os.system is not registered"
    )
    assert "nobody" in told["nobody"]
    server = serve(
        "model=digits", "inferencer=switch", "inferencer.order=[b,a]", "inferencer.threshold=1.0",
        "+inferencer.members.b=early", "+inferencer.members.a=digits:1",
    )  # fmt: skip
    assert over_http(server, raw_test("experiment=digits")) == pytest.approx(late)
    code, said = server.end()
    assert code == 0, said


def test_an_edge_starts_and_answers_while_its_cloud_is_away(aeros, serve, port):
    aeros("run", "task.rounds=2")
    switch = [
        "model=digits", "inferencer=switch", "inferencer.order=[edge,cloud]",
        "inferencer.threshold=1.0", "+inferencer.members.edge={}",
        "+inferencer@inferencer.members.cloud.inferencer=remote",
        f"inferencer.members.cloud.inferencer.url=http://127.0.0.1:{port}",
        "inferencer.members.cloud.inferencer.pause=0.1",
    ]  # fmt: skip
    batch = {"image": np.zeros((1, 8, 8)), "label": np.zeros(1)}
    loose, strict = serve(*switch, "inferencer.fallback=true"), serve(*switch)
    over_http(loose, batch)
    with pytest.raises(urllib.error.HTTPError, match="503") as refused:
        over_http(strict, batch)
    assert (
        f"member 'cloud': http://127.0.0.1:{port} did not answer"
        in refused.value.fp.read().decode()
    )
    cloud = serve("model=digits", f"serving.http_port={port}")
    assert cloud.http == f"127.0.0.1:{port}"
    time.sleep(0.2)  # until the circuits are tried again
    over_http(strict, batch)
    over_http(loose, batch)
    for server, told in ((loose, "answered by member 'edge' instead"), (strict, "it is taken up")):
        with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=60) as back:
            rows = 'aeros_member_rows_total{model="digits",version="1",member="cloud"}'
            assert re.search(rf"{re.escape(rows)} [1-9]", back.read().decode())
        code, said = server.end()
        assert (code, told in said) == (0, True), said
