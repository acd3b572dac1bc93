"""ONNX graphs as exporters write them, imported and served by a real server."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def dense(rows):
    weight = numpy_helper.from_array(normal(4, 3, seed=1), "w")
    return graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("Softmax", ["h"], ["y"], axis=1),
        ],
        {"x": [rows, 4]},
        {"y": [rows, 3]},
        [weight],
    )


def whole():
    return graph(
        [
            helper.make_node("MatMul", ["a", "b"], ["c"]),
            helper.make_node("ReduceMean", ["c"], ["mean"], keepdims=0),
        ],
        {"a": [2, 3], "b": [3, 4]},
        {"c": [2, 4], "mean": []},
    )


def graph(nodes, inputs, outputs, tensors=()):
    def values(shapes):
        return [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, shape)
            for n, shape in shapes.items()
        ]

    made = helper.make_graph(nodes, "made", values(inputs), values(outputs), list(tensors))
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def expected(path, **inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def fetched(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=60) as reply:
        return json.load(reply)


def predicted(server, model, **inputs):
    """Return the outputs of a request by REST, as arrays."""
    given = [
        {"name": n, "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist()}
        for n, x in inputs.items()
    ]
    reply = fetched(f"http://{server.http}/v2/models/{model}/infer", {"inputs": given})
    return {o["name"]: np.array(o["data"]).reshape(o["shape"]) for o in reply["outputs"]}


def described(server, model, what=""):
    return fetched(f"http://{server.http}/v2/models/{model}{what}")


@pytest.mark.parametrize(
    ("rows", "said"),
    [(1, "it takes one row at a time"), (4, "it takes 4 rows at a time"), ("n", "")],
    ids=["one", "several", "any"],
)
def test_a_fixed_number_of_rows_is_served_for_any_number(aeros, serve, rows, said):
    path = aeros.folder / "dense.onnx"
    onnx.save(dense(rows), path)
    onnx.save(dense("any"), aeros.folder / "any.onnx")
    told = aeros("models", "import", "dense.onnx", "--name", "dense").splitlines()
    assert told[0].startswith("dense:1 is stored, ")
    assert "".join(told[1:]).startswith(said)
    server = serve("model=dense")
    for count in (1, 3, 4, 9):
        x = normal(count, 4)
        answer = predicted(server, "dense", x=x)["y"]
        np.testing.assert_allclose(answer, expected(aeros.folder / "any.onnx", x=x)["y"], rtol=1e-5)
    assert described(server, "dense")["inputs"] == [
        {"name": "x", "datatype": "FP32", "shape": [-1, 4]}
    ]
    config = described(server, "dense", "/config")
    assert config["max_batch_size"] == (64 if rows == "n" else rows)
    assert ("dynamic_batching" in config) == (rows != 1)
    batching = config["parameters"]["batching"]["string_value"]
    assert {1: "one row at a time", 4: "4 rows at a time", "n": "auto: yes"}[rows] in batching


def test_a_graph_is_served_whole(aeros, serve):
    onnx.save(whole(), aeros.folder / "a.onnx")
    refused = aeros("models", "import", "a.onnx", "--name", "a", code=2)
    assert "first dimension, 'a' 2, 'b' 3: it is no number of rows" in refused
    advice = re.search(r"aeros models import FILE --name NAME --unbatched", refused).group()
    words = advice.replace("FILE", "a.onnx").replace("NAME", "a").split()[1:]
    told = aeros(*words)
    assert (
        told.splitlines()[1] == "it is served whole: a row of a request is all that the graph takes"
    )
    server = serve("model=a")
    rows = {"a": normal(3, 2, 3), "b": normal(3, 3, 4, seed=1)}
    answer = predicted(server, "a", **rows)
    for row in range(3):
        alone = expected(aeros.folder / "a.onnx", a=rows["a"][row], b=rows["b"][row])
        np.testing.assert_allclose(answer["c"][row], alone["c"], rtol=1e-6)
        np.testing.assert_allclose(answer["mean"][row], alone["mean"], rtol=1e-6)


def test_tensors_beside_a_model_are_stored_with_it(aeros, serve):
    folder = aeros.folder / "model"
    folder.mkdir()
    onnx.save(dense("n"), folder / "a.onnx", save_as_external_data=True, size_threshold=0)
    x = normal(2, 4)
    wanted = expected(folder / "a.onnx", x=x)["y"]
    aeros("models", "import", "model/a.onnx", "--name", "a")
    for file in folder.iterdir():
        file.unlink()
    np.testing.assert_allclose(predicted(serve("model=a"), "a", x=x)["y"], wanted, rtol=1e-6)


def test_tensors_outside_the_folder_of_a_model_are_refused(aeros):
    folder = aeros.folder / "model"
    folder.mkdir()
    proto = dense("n")
    tensor = proto.graph.initializer[0]
    (aeros.folder / "secret").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    (folder / "a.onnx").write_bytes(proto.SerializeToString())
    refused = aeros("models", "import", "model/a.onnx", "--name", "a", code=2)
    assert "keeps tensor 'w' in '../secret', outside its own folder" in refused
    assert "Traceback" not in refused


def test_unbatched_is_an_option_of_graphs_alone(aeros):
    from safetensors.numpy import save_file

    save_file({"w": normal(3)}, aeros.folder / "a.safetensors")
    refused = aeros("models", "import", "a.safetensors", "--name", "a", "--unbatched", code=2)
    assert "--unbatched has nothing to do: such a file holds parameters" in refused


def test_notes_of_an_import_are_in_its_json(aeros):
    onnx.save(dense(1), aeros.folder / "a.onnx")
    told = json.loads(aeros("models", "import", "a.onnx", "--name", "a", "--json"))
    assert told["version"] == 1
    assert told["notes"] == [
        "it takes one row at a time: those of a request are computed one after another"
    ]


def test_an_edge_server_imports_no_torch(aeros):
    onnx.save(dense(1), aeros.folder / "a.onnx")
    aeros("models", "import", "a.onnx", "--name", "a")
    log = aeros.folder / "imports.log"
    with log.open("w") as imports:
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "aeros_core.cli.main", "serve", "model=a",
             "inferencer=onnx", "serving.http_port=0", "serving.grpc_port=0"],
            cwd=aeros.folder, stdout=subprocess.PIPE, stderr=imports, text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("AEROS_")},
        )  # fmt: skip
        ready = next(line for line in process.stdout if line.startswith("REST on "))
        url = f"{ready.split()[-1]}/v2/models/a/infer"
        rows = {"name": "x", "shape": [2, 4], "datatype": "FP32", "data": [1.0] * 8}
        assert fetched(url, {"inputs": [rows]})["outputs"][0]["shape"] == [2, 3]
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        process.stdout.close()
        assert process.wait(60) == 0
    modules = {line.rpartition("|")[2].strip() for line in log.read_text().splitlines()}
    assert {"onnxruntime", "aeros_serving.server"} <= modules
    heavy = {"torch", "numba", "sklearn", "pandas", "flwr", "sympy", "aeros_torch.trainer"}
    assert not modules & heavy


def test_a_graph_that_no_zeros_fit_is_served(aeros, serve):
    proto = graph(
        [helper.make_node("Expand", ["x", "shape"], ["y"])], {"x": [1, 2]}, {"y": [1, "n"]}
    )
    shape = helper.make_tensor_value_info("shape", TensorProto.INT64, [2])
    proto.graph.input.append(shape)
    onnx.save(proto, aeros.folder / "a.onnx")
    aeros("models", "import", "a.onnx", "--name", "a", "--unbatched")
    server = serve("model=a")
    given = [
        {"name": "x", "shape": [1, 1, 2], "datatype": "FP32", "data": [1.0, 2.0]},
        {"name": "shape", "shape": [1, 2], "datatype": "INT64", "data": [3, 2]},
    ]
    reply = fetched(f"http://{server.http}/v2/models/a/infer", {"inputs": given})
    assert reply["outputs"][0]["shape"] == [1, 3, 2]
