"""`aeros serve` with a trained model, the real repository and tritonclient."""

import json
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest

triton_http = pytest.importorskip("tritonclient.http")
triton_grpc = pytest.importorskip("tritonclient.grpc")


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


def test_a_damaged_model_is_not_served(aeros):
    aeros("run", "task.rounds=1")
    for chunk in aeros.folder.glob("aeros-repository/blobs/**/*"):
        if chunk.is_file() and chunk.name != "zarr.json":
            chunk.write_bytes(chunk.read_bytes()[:-1] + b"\1")
    told = aeros("serve", "model=digits", code=1)
    assert "version 1 of model 'digits' cannot be read" in told


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
    assert "Tested: 18" in done.stdout
