"""A task whose last step is serving: a tag moves, and answers are in the target's own units."""

import json
import signal
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from forked_python import completed

WORDS = [
    "experiment=null", "transformer=[diabetes,iid,standardise]", "trainer/model=mlp",
    "transformer.standardise.fields=[features,target]", "task.name=sugar", "trainer.lr=0.01",
    "callback=[promote]",
]  # fmt: skip


STAGES = """
import json
import numpy as np
from aeros_core.config import build, store
from aeros_core.plugins import discovery

words = ["+inferencer=sequence", "inferencer.order=[a,b]"]
words += [f"+inferencer.members.{name}=sugar.stage{n}" for n, name in ((1, "a"), (2, "b"))]
registry = discovery.discover()
cfg = store.plain(store.load(words, registry, root="models"))
repository = build.build_part(registry, "repository", cfg["repository"])
model = repository.model("sugar.stage1")
service = build.build_service(registry, model, cfg["inferencer"], repository=repository)
rows = np.load("test.npz")["features"].astype(np.float32)
print(json.dumps(service.predict({"features": rows})["scores"].tolist()))
"""


def answered(server, rows):
    tensor = {"name": "features", "datatype": "FP32", "shape": list(rows.shape)}
    body = json.dumps({"inputs": [{**tensor, "data": rows.ravel().tolist()}]}).encode()
    url = f"http://{server.http}/v2/models/sugar/infer"
    with urllib.request.urlopen(url, body, 60) as back:
        told = json.loads(back.read())
    scores = {each["name"]: each["data"] for each in told["outputs"]}["scores"]
    return told["model_version"], np.array(scores)


def test_what_a_task_has_trained_is_served_in_the_units_of_its_data(aeros, serve, raw_test):
    aeros("run", *WORDS, "task.rounds=2")
    server = serve("model=sugar:production", "serving.poll=0.1")
    train, test = raw_test(*WORDS, split="train"), raw_test(*WORDS)
    rows, truth = test["features"].astype(np.float32), test["target"]
    for version, words in (("1", []), ("2", ["task.rounds=3"])):
        if words:
            aeros("run", *WORDS, *words)
        end = time.monotonic() + 60
        while (found := answered(server, rows))[0] != version:
            assert time.monotonic() < end
            time.sleep(0.05)
        reported = aeros.result()["metrics"]["loss"] * train["target"].var()
        assert np.mean((found[1] - truth) ** 2) == pytest.approx(reported, rel=1e-4)
    said = aeros("models", "list", "--json")
    assert "production" in said

    aeros("models", "split", "sugar", "--at", "layers.1")
    command = ["-c", STAGES]
    done = completed(command, cwd=aeros.folder)
    assert done.returncode == 0, done.stderr
    staged = np.array(json.loads(done.stdout))
    np.testing.assert_allclose(staged, found[1], rtol=1e-4)  # as the whole, in its units
    assert np.mean((staged - truth) ** 2) == pytest.approx(reported, rel=1e-4)


def test_the_same_command_again_updates_what_is_served(aeros, port):
    words = ["task=served", "task.rounds=1", f"+task.subtasks.serve.options.http_port={port}",
             "+task.subtasks.serve.options.grpc_port=-1",
             "+task.subtasks.serve.options.poll=0.1"]  # fmt: skip
    server = aeros.start("run", *words)
    versions = []
    try:
        for _ in range(2):
            end = time.monotonic() + 120
            wanted = [str(len(versions) + 1)]
            while (found := _versions(port)) != wanted:
                assert server.poll() is None, server.communicate()
                assert time.monotonic() < end, found
                time.sleep(0.05)
            versions += found
            if len(versions) < 2:
                said = aeros("run", *words, "task.seed=1")
                assert "digits:2 is tagged production" in said
                assert f"the server on port {port} answers for digits" in said
        server.send_signal(signal.SIGTERM)
        out, err = server.communicate(timeout=120)
    finally:
        server.kill()
    assert server.returncode == 0, err
    assert "model digits version 1 is ready" in out
    assert "ending: what was asked is answered first" in out


def _versions(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/models/digits", timeout=5) as back:
            return json.loads(back.read())["versions"]
    except (urllib.error.URLError, ConnectionError):
        return []


def test_a_resumed_task_moves_the_tag_in_the_repository_where_it_is_now(aeros):
    aeros("run", *WORDS, "task.rounds=1", "repository.path=before")
    (aeros.folder / "before").rename(aeros.folder / "now")
    aeros("run", *WORDS, "task.rounds=2", "repository.path=now", "task.resume=true")
    assert not (aeros.folder / "before").exists()
    assert len(list((aeros.folder / "now/runs").iterdir())) == 1
    shown = json.loads(aeros("models", "show", "sugar:production", "--json", "repository.path=now"))
    assert (shown["version"], shown["round"]) == (2, 2)
