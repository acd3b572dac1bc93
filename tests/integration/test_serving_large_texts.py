"""A request of 12.8 MB of short texts does not hold up other clients."""

import json
import urllib.request

import pytest
import serving_attacks

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402

PATIENCE = 0.25
"""Seconds in which 95 of 100 requests for health are answered, on a machine that is idle."""

ROWS, SECONDS = 1_800_000, 4.0


@pytest.fixture
def words(aeros):
    """The model words in the repository, which returns the texts that it is given."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.STRING, ["n"]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "words", [x], [y])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, aeros.folder / "words.onnx")
    aeros("models", "import", "words.onnx", "--name", "words")


def body(nested):
    data, shape = ["abcd"] * ROWS, [ROWS]
    if nested:
        data, shape = [[each] for each in data], [ROWS, 1]
    tensor = {"name": "x", "datatype": "BYTES", "shape": shape, "data": data}
    return json.dumps({"inputs": [tensor]}, separators=(",", ":")).encode()


@pytest.mark.parametrize("nested", [False, True])
def test_others_are_answered_while_many_texts_are_read(words, serve, nested):
    server = serve("model=words")
    url, sent = f"http://{server.http}/v2/models/words/infer", body(nested)
    assert len(sent) > 12_000_000
    host, _, port = server.http.rpartition(":")
    found = []

    def texts(_, over):
        while not over.is_set():
            with urllib.request.urlopen(url, sent, 120) as answer:
                found.append((answer.status, len(json.load(answer)["outputs"][0]["data"])))

    quiet = serving_attacks.p95((host, int(port)), 1.0)
    took = serving_attacks.measure(texts, (host, int(port)), (host, int(port)), SECONDS)
    assert took < max(PATIENCE, 20 * quiet)
    server.end()
    assert found
    assert set(found) == {(200, ROWS)}
    assert "Traceback" not in server.said
