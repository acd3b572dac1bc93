"""A stored model answers in another process as it did in training."""

import json
import subprocess
import sys

import pytest

PREDICT = """
import json
import numpy as np
from aeros_core import compose, config, plugins

registry = plugins.discover()
cfg = config.plain(config.load([], registry, root="models"))
repository = compose.build_part(registry, "repository", cfg["repository"])
model = repository.model("NAME")
node = registry.options["inferencer", "torch"].config.__dataclass_fields__
options = {k: f.default for k, f in node.items()}
service = compose.build_service(registry, model, options)
run = [r for r in repository.runs() if r.id == model.run][-1]
name, source = next(iter(run.config["transformer"].items()))
test = compose.build_part(registry, "transformer", source, name).load("test")
batch = {k: v for k, v in test.batch().items() if k != test.schema.target}
answer = service.predict(batch)["label"]
print(json.dumps(float(np.mean(answer == test.batch()[test.schema.target]))))
"""


@pytest.mark.parametrize("experiment", ["digits", "breast_cancer"])
def test_answers_with_the_accuracy_of_training(aeros, experiment):
    aeros("run", f"experiment={experiment}", "task.rounds=5")
    script = PREDICT.replace("NAME", experiment)
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=aeros.folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == pytest.approx(aeros.result()["metrics"]["accuracy"])
