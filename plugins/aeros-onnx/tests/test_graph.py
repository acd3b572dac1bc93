import json

import numpy as np
import pytest
from drawings import SCHEMA, dense
from onnx import TensorProto, helper, numpy_helper

from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.parameters import Parameters
from aeros_core.records import Model
from aeros_core.schema import Field, Schema
from aeros_onnx import graph


def test_initialisers_are_parameters_and_the_rest_is_data():
    proto = dense()
    model = graph.packed(proto, "dense")
    for tensor in proto.graph.initializer:
        np.testing.assert_array_equal(model.parameters[tensor.name], numpy_helper.to_array(tensor))
    assert model.parameters[graph.GRAPH].dtype == np.uint8
    assert model.schema == Schema((Field("x", "float32", (4,)),))
    assert graph.holds_graph(model)
    assert not graph.holds_graph(Model("m", Parameters.of({"w": np.zeros(2)}), SCHEMA))
    assert proto == dense()


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_a_graph_comes_back_as_it_was(dtype):
    proto = dense(dtype=dtype)
    assert graph.unpacked(graph.packed(proto, "dense")) == proto


def test_the_digest_covers_the_graph():
    other = dense()
    other.graph.node[1].op_type = "Tanh"
    one, two = graph.packed(dense(), "m"), graph.packed(other, "m")
    assert one.parameters.digest != two.parameters.digest


def test_a_scalar_stays_a_scalar():
    proto = dense()
    proto.graph.initializer.append(numpy_helper.from_array(np.array(2.0, np.float32), "s"))
    back = graph.unpacked(graph.packed(proto, "m"))
    assert list(next(t for t in back.graph.initializer if t.name == "s").dims) == []


def test_a_file_of_ours_says_of_its_model():
    model = graph.packed(dense(), "dense", schema=SCHEMA, round=3, metrics={"loss": 0.5})
    told = graph.packed(graph.described(dense(), model), "again")
    assert (told.schema, told.round, told.metrics) == (SCHEMA, 3, {"loss": 0.5})
    assert told.parents == (model.parameters.digest,)


@pytest.mark.parametrize("schema", ["", "[]", '{"fields": 1}', '{"fields": [{}], "target": null}'])
def test_what_a_file_says_may_be_damaged(schema):
    proto = dense()
    helper.set_model_props(proto, {"aeros.schema": schema, "aeros.metrics": "{}"})
    with pytest.raises(RepositoryError, match="what the file says of its model is damaged"):
        graph.packed(proto, "m")


def test_metrics_that_are_no_numbers_are_damage():
    proto = graph.described(dense(), graph.packed(dense(), "dense", schema=SCHEMA))
    for entry in proto.metadata_props:
        if entry.key == "aeros.metrics":
            entry.value = json.dumps({"loss": "low"})
    with pytest.raises(RepositoryError, match="is damaged"):
        graph.packed(proto, "m")


def test_a_tensor_with_the_name_of_the_graph():
    proto = dense()
    proto.graph.initializer.append(numpy_helper.from_array(np.zeros(2), graph.GRAPH))
    with pytest.raises(ConfigError, match=r"a tensor called 'onnx.graph' has no place here"):
        graph.packed(proto, "m")


def value(shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info("x", kind, shape)


def test_inputs_are_fields():
    assert graph.field_of(value(["n", 3, None])) == Field("x", "float32", (3, None))
    assert graph.field_of(value(["n"], TensorProto.INT64)) == Field("x", "int64", ())
    assert graph.field_of(value([None, 2], TensorProto.STRING)) == Field("x", "str", (2,))
    assert graph.field_of(value(["n", 2], TensorProto.FLOAT16)) == Field("x", "float16", (2,))
    assert graph.field_of(value([8, 3])) == Field("x", "float32", (3,))


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (value([]), "input 'x' of the graph is no tensor with a dimension for examples"),
        (value(["n"], TensorProto.BFLOAT16), "input 'x' of the graph is of dtype bfloat16, which"),
        (
            helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, ["n"]),
            "input 'x' of the graph is no tensor",
        ),
    ],
    ids=["scalar", "bfloat16", "sequence"],
)
def test_inputs_that_cannot_be_fields(held, said):
    with pytest.raises(ConfigError, match=said):
        graph.field_of(held)


def test_bytes_that_are_no_graph():
    model = Model("m", Parameters.of({graph.GRAPH: np.zeros(9, np.uint8)}), SCHEMA)
    with pytest.raises(RepositoryError, match="model 'm' is no whole ONNX file"):
        graph.unpacked(model)
