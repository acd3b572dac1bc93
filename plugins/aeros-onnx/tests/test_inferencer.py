import sys

import numpy as np
import onnxruntime
import pytest
from drawings import SCHEMA, by_hand, dense

from aeros_core.errors import ConfigError, DataError
from aeros_core.records import Model
from aeros_core.schema import Field, Schema
from aeros_core.testing import InferencerTests
from aeros_onnx import export, graph
from aeros_onnx.inferencer import OnnxInferencer


def made(**options):
    asked = {"device": "auto", "threads": 1, "batch_size": 3, "quantise": "none"} | options
    return OnnxInferencer(**asked)


class TestContract(InferencerTests):
    """The contract with a graph, more rows than fit into a batch."""

    def make(self):
        return made()

    def model(self):
        return graph.packed(dense(), "dense", schema=SCHEMA)

    def other(self):
        return graph.packed(dense(1), "dense", schema=SCHEMA)

    def batch(self):
        return {"x": np.random.default_rng(1).standard_normal((7, 4)).astype(np.float32)}


def test_answers_as_computed_by_hand(model, rows):
    inferencer = made(threads=2)
    inferencer.load(model)
    output = inferencer.predict({"x": rows})
    expected = by_hand(dense(), rows)
    np.testing.assert_allclose(output["scores"], expected, rtol=1e-5)
    np.testing.assert_array_equal(output["label"], expected.argmax(1))


def test_eight_bits_answer_nearly_the_same(rows):
    proto = dense(hidden=64)
    inferencer = made(quantise="int8", batch_size=512)
    inferencer.load(graph.packed(proto, "m", schema=SCHEMA))
    scores = inferencer.predict({"x": rows})["scores"]
    exact = by_hand(proto, rows)
    assert 0 < np.abs(scores - exact).max() < 0.05


def test_the_target_may_be_in_the_batch(model, rows):
    inferencer = made()
    inferencer.load(model)
    assert len(inferencer.predict({"x": rows, "label": np.zeros(7, np.int64)})["label"]) == 7


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ({"x": np.zeros((2, 5), np.float32)}, r"field 'x' is float32 \(2, 5\)"),
        ({"x": np.zeros((2, 4), np.complex64)}, "field 'x' is complex64"),
        ({"x": np.zeros((2, 4)), "y": np.zeros(2)}, "the batch has a field 'y'"),
        ({}, "the batch has no field 'x'; its fields are none"),
    ],
    ids=["shape", "dtype", "unknown", "empty"],
)
def test_batches_that_do_not_fit(model, batch, said):
    inferencer = made()
    inferencer.load(model)
    with pytest.raises(ConfigError, match=said):
        inferencer.predict(batch)


def test_codes_that_are_no_categories(rows):
    proto = dense()
    schema = Schema((Field("x", "int64", (4,), categories=("a", "b")),))
    inferencer = made()
    inferencer.load(graph.packed(proto, "m", schema=schema))
    with pytest.raises(DataError, match="field 'x' holds codes from 0 to 5"):
        inferencer.predict({"x": np.array([[0, 1, 5, 0]])})


def test_nothing_is_loaded():
    with pytest.raises(ConfigError, match="no model is loaded"):
        made().predict({})


@pytest.mark.parametrize("option", ["threads", "batch_size"])
def test_numbers_below_one(option):
    with pytest.raises(ConfigError, match=f"inferencer.{option}=0 is not possible"):
        made(**{option: 0})


@pytest.mark.parametrize("device", ["cuda:1", "tpu"])
def test_a_device_that_is_not_here(device, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ConfigError, match=f"inferencer.device={device} is not on this machine"):
        made(device=device)


def test_a_schema_that_lacks_an_input():
    with pytest.raises(ConfigError, match="the graph of 'm' takes 'x', which its schema lacks"):
        made().load(graph.packed(dense(), "m", schema=Schema((Field("y", "float32", (4,)),))))


# ---------------------------------------------------------------- modules that a plugin writes


def exporting(proto, answer):
    """Return what plugins register: one exporter, which writes every model as this graph."""
    written = (proto.SerializeToString(), answer)
    return {"toy": lambda model, module: module and written}


def scored(batch):
    scores = by_hand(dense(), batch["x"]).astype(np.float32)
    return {"scores": scores, "label": scores.argmax(1)}


@pytest.fixture
def plain(model):
    """A model with parameters alone, which another plugin can write."""
    kept = {k: v for k, v in model.parameters.items() if k != graph.GRAPH}
    return Model("plain", type(model.parameters).of(kept), SCHEMA)


def test_a_module_is_written_as_a_graph(plain, rows, monkeypatch):
    monkeypatch.setattr(export, "_exporters", lambda: exporting(dense(), scored))
    inferencer = made()
    inferencer.load(plain, lambda **options: None)
    np.testing.assert_allclose(
        inferencer.predict({"x": rows})["scores"], by_hand(dense(), rows), rtol=1e-5
    )


def test_a_graph_that_answers_otherwise_is_refused(plain, monkeypatch):
    monkeypatch.setattr(export, "_exporters", lambda: exporting(dense(1), scored))
    with pytest.raises(DataError, match="the graph does not answer as the model 'plain' does: th"):
        made().load(plain, lambda **options: None)


def test_a_module_that_nobody_can_write(plain, monkeypatch):
    monkeypatch.setattr(export, "_exporters", dict)
    with pytest.raises(ConfigError, match="'plain' cannot be written as ONNX: no plugin knows"):
        made().load(plain, lambda **options: None)
    with pytest.raises(ConfigError, match="model 'plain' does not say which module it is"):
        made().load(plain)


EXPORTS = """
from aeros_core import hookimpl
from aeros_core.hooks.extensions import OnnxExporter

@hookimpl
def aeros_onnx_exporters():
    return [OnnxExporter("toy", "toy_exports:TARGET")]

def graph(model, module):
    return None
"""


@pytest.fixture
def registers(tmp_path, monkeypatch):
    """A function that installs a plugin whose exporter has this target."""

    def install(target):
        info = tmp_path / "toy_exports-2.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-exports\nVersion: 2.0\n")
        (info / "entry_points.txt").write_text("[aeros]\ntoy_exports = toy_exports\n")
        (tmp_path / "toy_exports.py").write_text(EXPORTS.replace("TARGET", target))
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("AEROS_PLUGINS", "toy_exports")

    yield install
    sys.modules.pop("toy_exports", None)


def test_a_plugin_registers_an_exporter(plain, registers):
    registers("graph")
    with pytest.raises(ConfigError, match="no plugin knows its module") as caught:
        made().load(plain, lambda **options: None)
    assert caught.value.exists == "toy"


def test_an_exporter_that_is_broken_is_named(plain, registers):
    registers("nothing")
    with pytest.raises(ConfigError, match="ONNX exporter toy cannot be used: Attr") as caught:
        made().load(plain, lambda **options: None)
    assert caught.value.provider == "toy-exports 2.0"
