import numpy as np
import pytest
from drawings import SCHEMA, dense
from onnx import helper

from aeros_core.errors import ConfigError
from aeros_core.schema import Field, Schema
from aeros_onnx import graph, parts
from aeros_onnx.inferencer import OnnxInferencer


def answers(model, batch):
    inferencer = OnnxInferencer(device="cpu", threads=1, batch_size=4, quantise="none")
    inferencer.load(model)
    return inferencer.predict(batch)


def test_the_layers_behind_which_a_model_can_be_split(model):
    assert parts.layers(model) == ["first", "act", "second"]


@pytest.mark.parametrize("layer", ["first", "act", "second"])
def test_both_stages_answer_as_the_whole(model, rows, layer):
    one, two = parts.split(model, layer)
    whole = answers(model, {"x": rows})
    between = answers(one, {"x": rows})
    assert set(between) == {field.name for field in two.schema.features}
    assert set(between) == {{"first": "h", "act": "r", "second": "z"}[layer]}
    for name, column in answers(two, between).items():
        np.testing.assert_allclose(column, whole[name], rtol=1e-6)


def test_stages_say_where_they_come_from(model):
    one, two = parts.split(model, "act")
    assert (one.name, two.name) == ("dense.stage1", "dense.stage2")
    assert one.parents == two.parents == (model.parameters.digest,)
    assert one.schema == Schema((Field("x", "float32", (4,)),))
    assert two.schema == Schema((Field("r", "float32", (6,)), SCHEMA["label"]), "label")
    held = [{t.name for t in stage.parameters.layout.tensors} for stage in (one, two)]
    assert held[0] == {"first.weight", "first.bias", graph.GRAPH}
    assert held[1] == {"second.weight", "second.bias", graph.GRAPH}


def test_the_first_stage_keeps_the_transformers():
    steps = {"scale": {"_target_": "x.Y"}}
    raw = Schema((Field("raw", "int64", (4,)),))
    told = {"transformers": steps, "fitted": {"scale": {"mean": 1.0}}, "inputs": raw}
    whole = graph.packed(dense(), "dense", schema=SCHEMA, **told)
    one, two = parts.split(whole, "act")
    assert (one.transformers, one.fitted) == (steps, {"scale": {"mean": 1.0}})
    assert (two.transformers, two.fitted) == ({}, {})
    assert (one.inputs, two.inputs) == (raw, None)


def test_an_unknown_layer_is_told_with_those_that_exist(model):
    with pytest.raises(ConfigError) as caught:
        parts.split(model, "third")
    assert str(caught.value) == (
        "model 'dense' cannot be split at 'third'\n  exists: first, act, second\n"
        "  next: aeros models split dense --at first"
    )


def test_a_way_round_a_layer_goes_between_the_stages_too(rows):
    proto = dense()
    proto.graph.node[1].output[0] = "a"
    proto.graph.node.insert(2, helper.make_node("Add", ["a", "h"], ["r"], name="around"))
    whole = graph.packed(proto, "dense", schema=SCHEMA)
    one, two = parts.split(whole, "act")
    assert set(two.schema.names) == {"a", "h", "label"}
    expected = answers(whole, {"x": rows})["scores"]
    got = answers(two, answers(one, {"x": rows}))["scores"]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_model_that_needs_its_input_again_is_not_split_there():
    proto = dense()
    proto.graph.node[1].output[0] = "a"
    proto.graph.node.insert(2, helper.make_node("ReduceSum", ["x"], ["s"], name="sum", keepdims=0))
    proto.graph.node.insert(3, helper.make_node("Add", ["a", "s"], ["r"], name="more"))
    assert parts.layers(graph.packed(proto, "dense", schema=SCHEMA)) == ["more", "second"]
