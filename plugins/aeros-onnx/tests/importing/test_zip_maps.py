"""Classifiers whose exporter ends them with a ZipMap."""

import warnings
from itertools import pairwise

import numpy as np
import onnx
import pytest
from graphs import by_onnxruntime, graph, node, saved
from onnx import TensorProto, helper
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aeros_core.errors import ConfigError
from aeros_core.schema import Field
from aeros_onnx import file_format
from aeros_onnx.inferencer import OnnxInferencer

DATA = load_iris()
ROWS = DATA.data.astype(np.float32)


def classifiers():
    names = DATA.target_names[DATA.target]
    yield "logistic", LogisticRegression(max_iter=1000), DATA.target, ("0", "1", "2"), "int64"
    yield "texts", LogisticRegression(max_iter=1000), names, (*DATA.target_names,), "str"
    yield "codes", LogisticRegression(max_iter=1000), DATA.target * 2 + 3, ("3", "5", "7"), "int64"
    yield "forest", RandomForestClassifier(5, random_state=0), names, (*DATA.target_names,), "str"
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    yield "pipeline", pipeline, DATA.target, ("0", "1", "2"), "int64"


@pytest.mark.parametrize(
    ("kind", "estimator", "target", "labels", "dtype"),
    [*classifiers()],
    ids=["logistic", "texts", "codes", "forest", "pipeline"],
)
def test_what_scikit_learn_exports_by_default_is_served(
    tmp_path, kind, estimator, target, labels, dtype
):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skl2onnx import to_onnx

        estimator.fit(ROWS, target)
        proto = to_onnx(estimator, ROWS[:1])
    path = saved(proto, tmp_path / f"{kind}.onnx")
    model, notes = file_format.load_graph(path, "iris")
    assert notes == [
        "output 'output_probability' is a tensor with a column for each class,"
        f" {', '.join(labels)}: no ZipMap"
    ]
    assert model.schema.target == "output_label"
    assert model.schema["output_label"] == Field("output_label", dtype, categories=labels)
    inferencer = OnnxInferencer(device="cpu", threads=1, batch_size=512, quantise="none")
    inferencer.load(model)
    answer = inferencer.predict({"X": ROWS[::7]})
    expected = by_onnxruntime(path, X=ROWS[::7])
    assert answer["output_label"].tolist() == expected["output_label"].tolist()
    maps = [list(row.values()) for row in expected["output_probability"]]
    np.testing.assert_array_equal(answer["output_probability"], np.array(maps, np.float32))
    assert list(map(str, expected["output_probability"][0])) == list(labels)


def zipped(*behind, label="STRING"):
    """Return a classifier by hand: a label, and a ZipMap with these nodes behind it."""
    labels = {"classlabels_strings": ["no", "yes"]}
    proto = graph(
        [
            node("Softmax", "x", "p", axis=1),
            node("Identity", "names", "label"),
            node("ZipMap", "p", "z" if behind else "scores", domain="ai.onnx.ml", **labels),
            *behind,
        ],
        {"x": ("FLOAT", ["rows", 2]), "names": (label, ["rows"])},
        {"label": (label, ["rows"])},
    )
    maps = helper.make_map_type_proto(
        TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    )
    kind = helper.make_sequence_type_proto(maps)
    proto.graph.output.append(helper.make_value_info("scores", kind))
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    return proto


@pytest.mark.parametrize("links", [0, 1, 3])
def test_a_zip_map_behind_identities_is_replaced(tmp_path, links):
    names = ["z", *(f"z{n}" for n in range(1, links)), "scores"]
    behind = [node("Identity", one, two) for one, two in pairwise(names)]
    path = saved(zipped(*behind[:links]), tmp_path / "a.onnx")
    model, notes = file_format.load_graph(path, "m")
    assert len(notes) == 1
    inferencer = OnnxInferencer(device="cpu", threads=1, batch_size=512, quantise="none")
    inferencer.load(model)
    x = np.array([[0, 1], [3, 1]], np.float32)
    answer = inferencer.predict({"x": x, "names": np.array(["a", "b"], dtype=object)})
    expected = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answer["scores"], expected, rtol=1e-6)
    assert model.schema["label"].categories == ("no", "yes")


def test_a_fixed_number_of_rows_and_a_zip_map(tmp_path):
    proto = zipped()
    for value in proto.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    model, notes = file_format.load_graph(saved(proto, tmp_path / "a.onnx"), "m")
    assert len(notes) == 2
    inferencer = OnnxInferencer(device="cpu", threads=1, batch_size=512, quantise="none")
    inferencer.load(model)
    x = np.array([[0, 1], [3, 1], [0, 0]], np.float32)
    answer = inferencer.predict({"x": x, "names": np.array(["a", "b", "c"], dtype=object)})
    assert answer["scores"].shape == (3, 2)


def test_the_file_is_left_as_it_is_and_the_rewritten_graph_can_be_exported(tmp_path):
    path = saved(zipped(), tmp_path / "a.onnx")
    before = path.read_bytes()
    file_format.save(tmp_path / "b.onnx", file_format.load(path, "m"))
    assert path.read_bytes() == before
    assert not [n for n in onnx.load(tmp_path / "b.onnx").graph.node if n.op_type == "ZipMap"]
    assert file_format.load_graph(tmp_path / "b.onnx", "again")[1] == []


def test_a_list_of_maps_that_goes_on_within_the_graph_is_refused(tmp_path):
    proto = zipped(node("SequenceConstruct", "p", "scores"))
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    proto.graph.output[1].CopyFrom(helper.make_value_info("scores", kind))
    with pytest.raises(ConfigError, match="output 'scores' of the graph is a sequence"):
        file_format.load(saved(proto, tmp_path / "a.onnx"), "m")
