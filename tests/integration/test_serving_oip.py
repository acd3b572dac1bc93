"""`aeros serve` with a trained model, the real repository and tritonclient."""

import json
import re
import resource
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

triton_http = pytest.importorskip("tritonclient.http")
triton_grpc = pytest.importorskip("tritonclient.grpc")

from tritonclient.utils import InferenceServerException  # noqa: E402

FEATURES = {"name": "features", "datatype": "FP32"}


def inputs(client, batch, metadata):
    made = []
    for told in metadata["inputs"]:
        column = batch[told["name"]]
        one = client.InferInput(told["name"], list(column.shape), told["datatype"])
        one.set_data_from_numpy(column)
        made.append(one)
    return made


@pytest.mark.parametrize(("experiment", "target"), [("digits", "label"), ("breast_cancer", "")])
def test_both_protocols_answer_with_the_accuracy_of_training(
    aeros, serve, raw_test, experiment, target
):
    aeros("run", f"experiment={experiment}", "task.rounds=3")
    trained = aeros.result()["metrics"]["accuracy"]
    server = serve(f"model={experiment}")
    batch = raw_test(f"experiment={experiment}")
    with triton_http.InferenceServerClient(server.http) as client:
        metadata = client.get_model_metadata(experiment)
        asked = inputs(triton_http, batch, metadata)
        label = client.infer(experiment, asked).as_numpy("label")
    truth = batch[target or (set(batch) - {t["name"] for t in metadata["inputs"]}).pop()]
    assert np.mean(label == truth) == pytest.approx(trained)
    with triton_grpc.InferenceServerClient(server.grpc) as client:
        again = client.infer(experiment, inputs(triton_grpc, batch, metadata)).as_numpy("label")
    np.testing.assert_array_equal(label, again)
    code, said = server.end()
    assert code == 0, said
    assert "ending: what was asked is answered first" in said


def test_several_models_with_options_of_their_own(aeros, serve):
    aeros("run", "task.rounds=1")
    aeros("run", "task.rounds=1", "task.name=second")
    server = serve("model=digits", "model=second:1", "+serving.models.second.max_batch=7")
    with triton_http.InferenceServerClient(server.http) as client:
        sizes = [client.get_model_config(name)["max_batch_size"] for name in ("digits", "second")]
    assert sizes == [64, 7]
    body = json.dumps(
        {"inputs": [{"name": "pixels", "datatype": "FP32", "shape": [1], "data": [1]}]}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://{server.http}/v2/models/digits/infer", body.encode(), 60)
    assert json.loads(refused.value.read())["error"] == (
        "input 'image' is missing; input 'pixels' is not expected; the model takes image"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "aeros serve takes a model"),
        (["digits"], "aeros serve does not take 'digits'"),
        (["model=a", "model=a"], "aeros serve takes each model once"),
        (["model=none"], "model 'none' is not in the repository"),
        (["model=a", "serving.host=0.0.0.0"], "would open the models to the network without TLS"),
        (["model=a", "serving.prot=1"], "option 'serving.prot' does not exist"),
        (["model=a", "serving.max_batch=0"], "serving.max_batch=0 is not possible"),
    ],
)
def test_what_cannot_be_served_is_told(aeros, words, told):
    assert told in aeros("serve", *words, code=2)


def damage(folder):
    """Change the last byte of every blob of a repository."""
    for chunk in folder.glob("aeros-repository/blobs/**/*"):
        if chunk.is_file() and chunk.name != "zarr.json":
            chunk.write_bytes(chunk.read_bytes()[:-1] + b"\1")


def test_a_damaged_model_is_not_served_and_who_is_served_stays(aeros, serve):
    for seed in ("1", "2"):
        aeros("run", "task.rounds=1", f"task.seed={seed}")
    aeros("models", "tag", "digits:1", "production")
    server = serve("model=digits:production", "serving.poll=0.1")
    damage(aeros.folder)
    told = aeros("serve", "model=digits", code=1)
    assert "version 2 of model 'digits' cannot be read" in told

    aeros("models", "tag", "digits:2", "production")
    end = time.monotonic() + 60
    while "model 'digits' stays as it is" not in server.said:
        assert time.monotonic() < end
        time.sleep(0.05)
    body = json.dumps({"parameters": {"version": "2"}}).encode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://{server.http}/v2/repository/models/digits/load", body, 60)
    assert refused.value.code == 500
    assert "version 2 of model 'digits' cannot be read" in refused.value.read().decode()
    with triton_grpc.InferenceServerClient(server.grpc) as client, pytest.raises(
        InferenceServerException, match="version 2 of model 'digits' cannot be read"
    ):  # fmt: skip
        client.load_model("digits")
    image = np.zeros((1, 8, 8), np.float32)
    with triton_http.InferenceServerClient(server.http) as client:
        asked = inputs(triton_http, {"image": image}, client.get_model_metadata("digits"))
        assert client.infer("digits", asked).get_response()["model_version"] == "1"
        states = {e["version"]: e for e in client.get_model_repository_index()}
        assert states["1"]["state"] == "READY"
        assert "cannot be read" in states["2"]["reason"]
    code, said = server.end()
    assert code == 0, said
    assert "Traceback" not in said
    stamped = r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} WARNING model 'digits' stays as it is"
    assert re.search(stamped, said), said


def test_a_machine_without_memory_is_told_and_the_server_goes_on(aeros, serve):
    """A batch whose hidden layer takes 8.5 GB, where the process may have 1 GB more."""
    aeros(
        "run", "experiment=null", "transformer=[iris,iid,standardise]", "trainer/model=mlp",
        "trainer.model.hidden=[16384]", "task.name=iris", "task.rounds=1",
    )  # fmt: skip
    for inferencer in ("torch", "onnx"):
        server = serve("model=iris", f"inferencer={inferencer}", "inferencer.batch_size=200000")
        with (
            triton_http.InferenceServerClient(server.http) as http,
            triton_grpc.InferenceServerClient(server.grpc) as grpc,
        ):
            full = "StatusCode.RESOURCE_EXHAUSTED"
            starved(server, {"503": (triton_http, http), full: (triton_grpc, grpc)})
        code, said = server.end()
        assert code == 0, said
        assert "Traceback" not in said


def starved(server, clients):
    """Ask for what there is no room for, and then for what there is."""

    def scores(triton, client, rows):
        asked = inputs(triton, {"features": np.ones((rows, 4), np.float32)}, {"inputs": [FEATURES]})
        return client.infer("iris", asked).as_numpy("scores")

    before = [scores(*each, 3) for each in clients.values()]
    size = re.search(r"VmSize:\s+(\d+)", server.status)[1]
    limit = int(size) * 1024 + 2**30
    resource.prlimit(server.process.pid, resource.RLIMIT_AS, (limit, limit))
    for status, each in clients.items():
        with pytest.raises(InferenceServerException, match=r"out of memory: .*llocate") as told:
            scores(*each, 130_000)
        assert told.value.status() == status
    for each, expected in zip(clients.values(), before, strict=True):
        np.testing.assert_array_equal(scores(*each, 3), expected)


def test_the_rest_protocol_holds_what_its_openapi_document_says(aeros, serve):
    pytest.importorskip("schemathesis")
    aeros("run", "task.rounds=1")
    server = serve("model=digits", "serving.control=false")
    checks = "not_a_server_error,status_code_conformance,content_type_conformance"
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"http://{server.http}/openapi.json",
        "--checks", f"{checks},response_schema_conformance", "--max-examples", "15",
        "--seed", "1", "--phases", "examples,coverage,fuzzing",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=aeros.folder, timeout=500)
    assert done.returncode == 0, done.stdout
    assert "Tested: 19" in done.stdout
