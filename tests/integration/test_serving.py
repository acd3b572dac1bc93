"""A stored model answers in another process as it did in training."""

import json

import numpy as np
import pytest
import tritonclient.http as triton
from forked_python import completed

PREDICT = """
import json
import numpy as np
from aeros_core.config import build, store
from aeros_core.plugins import discovery

registry = discovery.discover()
cfg = store.plain(store.load([], registry, root="models"))
repository = build.build_part(registry, "repository", cfg["repository"])
model = repository.model("NAME")
node = registry.options["inferencer", "torch"].config.__dataclass_fields__
options = {k: f.default for k, f in node.items()}
service = build.build_service(registry, model, options)
run = [r for r in repository.runs() if r.id == model.run][-1]
name, source = next(iter(run.config["transformer"].items()))
test = build.build_part(registry, "transformer", source, name).load("test")
batch = {k: v for k, v in test.batch().items() if k != test.schema.target}
answer = service.predict(batch)["label"]
print(json.dumps(float(np.mean(answer == test.batch()[test.schema.target]))))
"""


@pytest.mark.parametrize("experiment", ["digits", "breast_cancer"])
def test_answers_with_the_accuracy_of_training(aeros, experiment):
    aeros("run", f"experiment={experiment}", "task.rounds=5")
    script = PREDICT.replace("NAME", experiment)
    command = ["-c", script]
    done = completed(command, cwd=aeros.folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == pytest.approx(aeros.result()["metrics"]["accuracy"])


def test_a_network_and_a_graph_answer_from_one_server_without_a_word(aeros, serve):
    aeros("run", "task.rounds=1")
    aeros("models", "export", "digits", "digits.onnx")
    aeros("models", "import", "digits.onnx", "--name", "graph")
    server = serve("model=digits", "model=graph")
    client = triton.InferenceServerClient(server.http)
    image = triton.InferInput("image", [3, 8, 8], "FP32")
    image.set_data_from_numpy(np.zeros((3, 8, 8), np.float32))
    for name, platform in (("digits", "aeros_torch"), ("graph", "aeros_onnx")):
        assert client.get_model_metadata(name)["platform"] == platform
        assert client.infer(name, [image]).as_numpy("scores").shape == (3, 10)
