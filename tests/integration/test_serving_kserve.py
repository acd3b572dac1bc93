"""KServe's own Python clients, in an environment of their own, get what the protocol promises."""

import json
import os
import subprocess
import venv
from pathlib import Path

import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402

KSERVE = "0.21.0"
"""Its dependencies are not compatible with those of aeros."""

CLIENT = Path(__file__).with_name("kserve_client.py")


@pytest.fixture(scope="module")
def kserve():
    """The Python of an environment with KServe's clients, made on first use and kept."""
    cache = Path(os.environ.get("AEROS_CACHE", Path.home() / ".cache" / "aeros-tests"))
    folder = cache / f"kserve-{KSERVE}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        install = [python, "-m", "pip", "install", "-q", f"kserve=={KSERVE}"]
        done = subprocess.run(install, capture_output=True, text=True, timeout=1200, check=False)
        if done.returncode:
            pytest.skip(f"kserve {KSERVE} cannot be installed: {done.stderr.strip()[-200:]}")
        (folder / "ready").touch()
    return python


@pytest.fixture
def triple(aeros):
    """The model triple in the repository: y is 3 times x."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy")
    factor = helper.make_tensor("factor", TensorProto.FLOAT, [], [3.0])
    node = helper.make_node("Mul", ["x", "factor"], ["y"])
    graph = helper.make_graph([node], "triple", [x], [y], [factor])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, aeros.folder / "triple.onnx")
    aeros("models", "import", "triple.onnx", "--name", "triple")


@pytest.mark.soak  # the environment takes a minute to install
def test_health_metadata_and_inference_by_both_protocols(kserve, triple, serve):
    server = serve("model=triple")
    asking = [kserve, CLIENT, server.http, server.grpc, "triple"]
    done = subprocess.run(asking, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    rest, grpc = json.loads(done.stdout.splitlines()[-1])
    answer = ["mine", "triple", "y", [[3.0, 6.0], [9.0, 12.0]]]
    missing = "model 'none' is not loaded; models: triple"
    health = {"live": True, "ready": True, "model ready": True, "no model ready": False}
    assert rest == health | {
        "infer, JSON": answer,
        "infer, binary": answer,
        "error": [404, missing],
        "metadata": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "v1": rest["v1"],
    }
    assert rest["v1"][0] == 404
    assert "v2/models/triple/infer" in rest["v1"][1]
    assert grpc == health | {
        "infer, typed": answer,
        "infer, binary": answer,
        "error": ["NOT_FOUND", missing],
        "metadata": [["x", "FP32"]],
    }
    server.end()
    assert "Traceback" not in server.said
