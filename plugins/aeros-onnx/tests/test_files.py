import numpy as np
import onnx
import onnxruntime
import pytest
from drawings import SCHEMA, by_hand, dense

from aeros_core.errors import ConfigError, RepositoryError
from aeros_onnx import file_format, graph, validation
from aeros_onnx.inferencer import OnnxInferencer


def test_a_model_is_written_and_read_again(model, tmp_path, rows):
    path = tmp_path / "a.onnx"
    assert file_format.save(path, model) == path.stat().st_size
    session = onnxruntime.InferenceSession(path)
    np.testing.assert_allclose(
        session.run(["scores"], {"x": rows})[0], by_hand(dense(), rows), rtol=1e-5
    )
    again = file_format.load(path, "again")
    assert again.name == "again"
    for name, tensor in model.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], tensor)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.onnx"]


def test_a_file_from_elsewhere(tmp_path):
    onnx.save(dense(), tmp_path / "b.onnx")
    read = file_format.load(tmp_path / "b.onnx", "b")
    assert (read.schema.names, read.schema.target, read.parents) == (("x",), None, ())


def test_a_file_that_cannot_be_written(model, tmp_path):
    with pytest.raises(RepositoryError, match="could not be written: No such file"):
        file_format.save(tmp_path / "nowhere" / "a.onnx", model)


def test_a_model_that_is_too_large(model, tmp_path, monkeypatch):
    monkeypatch.setattr(validation, "LARGEST", 200)
    with pytest.raises(ConfigError, match="'dense' is larger than an ONNX file can be, 200 bytes"):
        file_format.save(tmp_path / "a.onnx", model)
    assert not list(tmp_path.iterdir())


def test_what_a_file_says_comes_back(tmp_path):
    told = graph.packed(dense(), "m", schema=SCHEMA, metrics={"accuracy": 0.9}, round=4)
    onnx.save(graph.described(dense(), told), tmp_path / "c.onnx")
    back = file_format.load(tmp_path / "c.onnx", "m")
    assert (back.schema, back.metrics, back.round) == (SCHEMA, {"accuracy": 0.9}, 4)


def test_a_graph_is_its_own_original(model, tmp_path):
    path = tmp_path / "a.onnx"
    assert file_format.save_compared(path, model) == (path.stat().st_size, None)


def test_a_graph_that_no_file_holds_is_served_all_the_same(model, monkeypatch, rows):
    monkeypatch.setattr(validation, "LARGEST", 200)
    inferencer = OnnxInferencer(device="cpu", threads=1, batch_size=512, quantise="none")
    inferencer.load(model)
    np.testing.assert_allclose(
        inferencer.predict({"x": rows})["scores"], by_hand(dense(), rows), rtol=1e-5
    )
    with pytest.raises(ConfigError, match="'dense' is larger than an ONNX file can be"):
        OnnxInferencer(device="cpu", threads=1, batch_size=512, quantise="int8").load(model)
