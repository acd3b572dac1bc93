"""An imported graph whose rows depend on each other does not mix clients, whatever waits."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402


@pytest.fixture
def centred(aeros):
    """``x - mean(x, axis=0)`` in the repository, as the model centred."""
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 2]) for n in "xy"]
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "m"], ["y"]),
    ]
    made = helper.make_graph(nodes, "centred", values[:1], values[1:])
    proto = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, aeros.folder / "centred.onnx")
    aeros("models", "import", "centred.onnx", "--name", "centred")


def asked(server, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"http://{server.http}{path}", data, 60) as back:
        return json.loads(back.read())


def answer(server, value):
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [value, -value]}
    told = asked(server, "/v2/models/centred/infer", {"inputs": [tensor]})
    return told["outputs"][0]["data"]


@pytest.mark.parametrize("options", [(), ("+serving.models.centred.batching=always",)])
def test_its_requests_are_batched_by_hand_alone(centred, serve, options):
    server = serve("model=centred", "serving.delay=0.3", "serving.where=thread", *options)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda value: answer(server, float(value)), range(8)))
    config = asked(server, "/v2/models/centred/config")
    told = config["parameters"]["batching"]["string_value"]
    said = "'y' of a row changes with the rows beside it"
    if options:
        assert any(values != [0.0, 0.0] for values in answers)
        assert (config["max_batch_size"], told) == (64, "always: yes")
    else:
        assert answers == [[0.0, 0.0]] * 8
        assert (config["max_batch_size"], told) == (1, f"auto: no, {said}")
    assert f"model 'centred' version 1: {said}" in server.end()[1]


def test_8_bits_of_a_dynamic_range_are_not_batched_and_explained(aeros, serve):
    aeros("run", "task.rounds=1")
    server = serve("model=digits", "inferencer=onnx", "inferencer.quantise=int8")
    config = asked(server, "/v2/models/digits/config")
    found = config["parameters"]["batching"]["string_value"]
    assert config["max_batch_size"] == 1
    assert found.startswith("auto: no, 'scores' of a row changes with the rows beside it, by 0.0")
    assert found.endswith("as if 8 bits had the range of the batch")
    assert found.removeprefix("auto: no, ") in server.end()[1]


@pytest.mark.parametrize("dynamic", [True, False])
def test_an_imported_graph_of_8_bits_is_batched_if_its_range_is_fixed(aeros, serve, dynamic):
    """Quantised by `DynamicQuantizeLinear`, or by `QuantizeLinear` with a scale of its own."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy")
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [0.05]),
        helper.make_tensor("zero", TensorProto.UINT8, [], [128]),
    ]
    quantise = (
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"])
        if dynamic
        else helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"])
    )
    by = ["s", "z"] if dynamic else ["scale", "zero"]
    nodes = [quantise, helper.make_node("DequantizeLinear", ["q", *by], ["y"])]
    graph = helper.make_graph(nodes, "eight", [x], [y], [] if dynamic else constants)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, aeros.folder / "eight.onnx")
    aeros("models", "import", "eight.onnx", "--name", "eight")
    server = serve("model=eight")
    config = asked(server, "/v2/models/eight/config")
    found = config["parameters"]["batching"]["string_value"]
    assert config["max_batch_size"] == (1 if dynamic else 64)
    assert ("as if 8 bits had the range of the batch" in found) is dynamic
