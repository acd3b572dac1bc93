import numpy as np
import pytest
from drawings import SCHEMA, branched, by_hand, dense
from onnx import helper

from aeros_core.errors import ConfigError
from aeros_core.parameters import Parameters
from aeros_core.records import Model
from aeros_core.schema import Field, Schema
from aeros_onnx import export, graph, split
from aeros_onnx.inferencer import OnnxInferencer
from aeros_onnx.session import OnnxSession


def answers(model, batch):
    inferencer = OnnxInferencer(device="cpu", threads=1, batch_size=4, quantise="none")
    inferencer.load(model)
    return inferencer.predict(batch)


def test_the_layers_behind_which_a_model_can_be_split(model):
    assert split.layers(model) == ["first", "act", "second"]


@pytest.mark.parametrize("layer", ["first", "act", "second"])
def test_both_stages_answer_as_the_whole(model, rows, layer):
    one, two = split.split(model, layer)
    whole = answers(model, {"x": rows})
    between = answers(one, {"x": rows})
    assert set(between) == {field.name for field in two.schema.features}
    assert set(between) == {{"first": "h", "act": "r", "second": "z"}[layer]}
    for name, column in answers(two, between).items():
        np.testing.assert_allclose(column, whole[name], rtol=1e-6)


def test_stages_say_where_they_come_from(model):
    one, two = split.split(model, "act")
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
    one, two = split.split(whole, "act")
    assert (one.transformers, one.fitted) == (steps, {"scale": {"mean": 1.0}})
    assert (two.transformers, two.fitted) == ({}, {})
    assert (one.inputs, two.inputs) == (raw, None)


class Halves:
    """A step that goes on behind the model."""

    def transform(self, batch):
        return batch

    def output_schema(self, schema):
        return schema

    def state(self):
        return {"by": self.by}

    def restore(self, state):
        self.by = state["by"]

    def inverse_transform(self, output):
        return {**output, "scores": output["scores"] / self.by}


def test_the_second_stage_keeps_what_goes_on_behind_a_number(monkeypatch, rows):
    built = {"fit": Halves(), "other": object()}
    monkeypatch.setattr(split.build, "build_part", lambda _r, _g, node, name, _f: built[name])
    number = Field("label", "float32", (3,))
    schema = Schema((SCHEMA["x"], number), "label")
    steps = {"fit": {"_target_": "x.Halves"}, "other": {"_target_": "x.Other"}}
    told = {"transformers": steps, "fitted": {"fit": {"by": 2.0}}}
    proto = dense()
    del proto.graph.output[1], proto.graph.node[4]
    one, two = split.split(graph.packed(proto, "dense", schema=schema, **told), "act")
    assert (one.transformers, one.behind) == (steps, ())
    assert (two.transformers, two.fitted) == ({"fit": steps["fit"]}, {"fit": {"by": 2.0}})
    assert two.behind == ("fit",)
    assert two.schema[two.schema.target] == number


def test_an_unknown_layer_is_told_with_those_that_exist(model):
    with pytest.raises(ConfigError) as caught:
        split.split(model, "third")
    assert str(caught.value) == (
        "model 'dense' cannot be split at 'third'\n  exists: first, act, second\n"
        "  next: aeros models split dense --at first"
    )


def test_a_way_round_a_layer_goes_between_the_stages_too(rows):
    proto = dense()
    proto.graph.node[1].output[0] = "a"
    proto.graph.node.insert(2, helper.make_node("Add", ["a", "h"], ["r"], name="around"))
    whole = graph.packed(proto, "dense", schema=SCHEMA)
    one, two = split.split(whole, "act")
    assert set(two.schema.names) == {"a", "h", "label"}
    expected = answers(whole, {"x": rows})["scores"]
    got = answers(two, answers(one, {"x": rows}))["scores"]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_model_that_needs_its_input_again_is_not_split_there():
    proto = dense()
    proto.graph.node[1].output[0] = "a"
    proto.graph.node.insert(2, helper.make_node("ReduceSum", ["x"], ["s"], name="sum", keepdims=0))
    proto.graph.node.insert(3, helper.make_node("Add", ["a", "s"], ["r"], name="more"))
    assert split.layers(graph.packed(proto, "dense", schema=SCHEMA)) == ["more", "second"]


@pytest.fixture
def with_exit(monkeypatch):
    """A trained model whose graph has an exit behind `first`, as a plugin would write it."""
    proto = branched()
    running = OnnxSession(proto)
    written = (proto.SerializeToString(), running)
    monkeypatch.setattr(export, "_exporters", lambda: {"toy": lambda model, module: written})
    monkeypatch.setattr(export.build, "build_module", lambda *_: object())
    return Model("toy", Parameters.of({"w": np.zeros(1)}), SCHEMA, {"_target_": "toy"}), running


def test_a_graph_is_written_without_its_exit(with_exit, rows):
    model, running = with_exit
    proto = export.written(model)
    assert [output.name for output in proto.graph.output] == ["scores", "label"]
    assert {t.name for t in proto.graph.initializer} == {t.name for t in dense().graph.initializer}
    assert [node.name for node in proto.graph.node] == [node.name for node in dense().graph.node]
    found = answers(model, {"x": rows})
    assert set(found) == {"scores", "label"}
    np.testing.assert_allclose(found["scores"], by_hand(dense(), rows), 1e-4)
    assert "exit.scores" in running.outputs


@pytest.mark.parametrize("layer", ["first", "act", "second"])
def test_the_first_stage_answers_at_the_exit(with_exit, rows, layer):
    model, running = with_exit
    one, two = split.split(model, layer, early=True)
    whole, first = running({"x": rows}), answers(one, {"x": rows})
    np.testing.assert_array_equal(first["scores"], whole["exit.scores"])
    np.testing.assert_array_equal(first["label"], whole["exit.label"])
    onward = {field.name: first[field.name] for field in two.schema.features}
    assert set(first) == {"scores", "label", *onward}
    assert set(onward) == {{"first": "h", "act": "r", "second": "z"}[layer]}
    np.testing.assert_allclose(answers(two, onward)["scores"], whole["scores"], rtol=1e-6)
    assert one.schema == SCHEMA  # so that its labels have names
    held = {t.name for t in two.parameters.layout.tensors}
    assert not any(name.startswith("exit") for name in held)


def test_without_being_asked_for_an_exit_is_left_out(with_exit, rows):
    one, _ = split.split(with_exit[0], "act")
    assert set(answers(one, {"x": rows})) == {"r"}


def test_an_exit_that_comes_later_or_is_not_there_is_told(with_exit, model, monkeypatch):
    with pytest.raises(ConfigError) as caught:
        split.split(model, "act", early=True)
    assert str(caught.value) == (
        "model 'dense' has no exit, so its first stage cannot answer\n"
        "  next: aeros run trainer/model=early_exit trainer.model.at=LAYER"
    )
    late = branched(behind="r")
    written = (late.SerializeToString(), OnnxSession(late))
    monkeypatch.setattr(export, "_exporters", lambda: {"toy": lambda *_: written})
    with pytest.raises(ConfigError) as caught:
        split.split(with_exit[0], "first", early=True)
    assert str(caught.value) == (
        "model 'toy' has its exit behind 'first', in the second stage\n"
        "  exists: act, second\n  next: aeros models split toy --at act --exit"
    )
