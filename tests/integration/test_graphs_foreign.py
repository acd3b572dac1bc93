"""A server that is not ours is a stage of a graph: MLServer, in an environment of its own."""

import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
import venv

import numpy as np
import pytest
from safetensors.numpy import load_file

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

VERSION = "1.7.1"

RUNTIME = '''
"""The second stage of the model digits: one dense layer and softmax, with numpy alone."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Stage(MLModel):
    async def load(self):
        stored = np.load(self.settings.parameters.uri)
        [self.weight] = [stored[name] for name in stored.files if name.endswith("weight")]
        [self.bias] = [stored[name] for name in stored.files if name.endswith("bias")]
        return True

    async def predict(self, payload):
        x = NumpyCodec.decode_input(payload.inputs[0]) @ self.weight.T + self.bias
        x = np.exp(x - x.max(1, keepdims=True))
        outputs = {"scores": x / x.sum(1, keepdims=True), "label": x.argmax(1)}
        encoded = [NumpyCodec.encode_output(name, array) for name, array in outputs.items()]
        return InferenceResponse(model_name=self.name, outputs=encoded)
'''


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory):
    """The program, installed; uvloop's newer releases end its workers."""
    folder = tmp_path_factory.mktemp("mlserver")
    venv.create(folder, with_pip=True)
    install = [folder / "bin" / "pip", "install", "-q", f"mlserver=={VERSION}", "uvloop<0.22"]
    subprocess.run(install, check=True, timeout=600)
    return folder / "bin" / "mlserver"


@pytest.fixture
def foreign(mlserver, aeros, port):
    """A function that starts it with the stored weights; returns process and address."""
    folder = aeros.folder / "foreign"
    started = []

    def start():
        folder.mkdir(exist_ok=True)
        (folder / "stage.py").write_text(RUNTIME)
        settings = {"http_port": port, "grpc_port": 0, "metrics_port": 0, "parallel_workers": 0}
        (folder / "settings.json").write_text(json.dumps(settings))
        parameters = {"uri": "weights.npz", "version": "1"}
        model = {"name": "theirs", "implementation": "stage.Stage", "parameters": parameters}
        (folder / "model-settings.json").write_text(json.dumps(model))
        with (folder / "log").open("w") as log:
            path = os.environ | {"PYTHONPATH": str(folder)}
            process = subprocess.Popen([mlserver, "start", "."], cwd=folder, env=path,
                                       stdout=log, stderr=log)  # fmt: skip
        started.append(process)
        ready(f"http://127.0.0.1:{port}/v2/models/theirs/ready", process, folder / "log")
        return process, f"http://127.0.0.1:{port}"

    yield start
    for process in started:
        process.kill()
        process.wait(300)


def ready(url, process, log):
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def asked(server, image):
    """Return status and body of what the graph answers."""
    tensor = {"name": "image", "datatype": "FP32", "shape": list(image.shape)}
    body = json.dumps({"inputs": [{**tensor, "data": image.ravel().tolist()}]}).encode()
    try:
        url = f"http://{server.http}/v2/models/digits.stage1/infer"
        with urllib.request.urlopen(url, body, 120) as back:
            return back.status, json.loads(back.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


def test_a_foreign_server_is_the_second_stage(aeros, serve, foreign, raw_test):
    aeros("run", "task.rounds=5")
    reported = aeros.result()["metrics"]["accuracy"]
    aeros("models", "split", "digits", "--at", "layers.1")
    aeros("models", "export", "digits.stage2", "stage2.safetensors")
    (aeros.folder / "foreign").mkdir()
    weights = load_file(aeros.folder / "stage2.safetensors")
    np.savez(aeros.folder / "foreign" / "weights.npz", **weights)
    process, url = foreign()
    server = serve(
        "model=digits.stage1", "inferencer=sequence", "inferencer.order=[first,second]",
        "+inferencer.members.first={}", "+inferencer@inferencer.members.second.inferencer=remote",
        f"inferencer.members.second.inferencer.url={url}",
        "inferencer.members.second.inferencer.model=theirs",
        "inferencer.members.second.inferencer.binary=false",
    )  # fmt: skip
    test = raw_test("experiment=digits")
    status, told = asked(server, test["image"])
    assert status == 200, told
    label = next(each["data"] for each in told["outputs"] if each["name"] == "label")
    assert float(np.mean(np.array(label) == test["label"])) == pytest.approx(reported)
    process.kill()
    process.wait(300)
    status, told = asked(server, test["image"][:1])
    assert (status, url in told["error"]) == (503, True), told
    foreign()  # it is back, at the same address
    end = time.monotonic() + 60
    while (answer := asked(server, test["image"][:1]))[0] != 200:
        assert time.monotonic() < end, answer
        time.sleep(1.0)
