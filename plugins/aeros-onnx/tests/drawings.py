"""Graphs by hand."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from aeros_core.schema import Field, Schema

LABEL = Field("label", "int64", categories=("a", "b", "c"))
SCHEMA = Schema((Field("x", "float32", (4,)), LABEL), "label")


def dense(seed=0, hidden=6, dtype=np.float32):
    """Return two dense layers with a softmax, as a graph."""
    rng = np.random.default_rng(seed)
    tensors = {
        "first.weight": rng.standard_normal((4, hidden)),
        "first.bias": rng.standard_normal(hidden),
        "second.weight": rng.standard_normal((hidden, 3)),
        "second.bias": rng.standard_normal(3),
    }
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [
        helper.make_node("Gemm", ["x", "first.weight", "first.bias"], ["h"], name="first"),
        helper.make_node("Relu", ["h"], ["r"], name="act"),
        helper.make_node("Gemm", ["r", "second.weight", "second.bias"], ["z"], name="second"),
        helper.make_node("Softmax", ["z"], ["scores"], name="scores", axis=1),
        helper.make_node("ArgMax", ["scores"], ["label"], name="label", axis=1, keepdims=0),
    ]
    made = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("x", kind, ["rows", 4])],
        [
            helper.make_tensor_value_info("scores", kind, ["rows", 3]),
            helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"]),
        ],
        [numpy_helper.from_array(a.astype(dtype), name) for name, a in tensors.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def branched(behind="h"):
    """Return `dense` with an exit: a dense layer of its own behind this value."""
    proto = dense()
    weight = np.random.default_rng(9).standard_normal((6, 3)).astype(np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(weight, "exit.weight"))
    proto.graph.node.extend(
        [
            helper.make_node("MatMul", [behind, "exit.weight"], ["e"], name="exit"),
            helper.make_node("Softmax", ["e"], ["exit.scores"], name="exit.scores", axis=1),
            helper.make_node("ArgMax", ["exit.scores"], ["exit.label"], axis=1, keepdims=0),
        ]
    )
    proto.graph.output.extend(
        [
            helper.make_tensor_value_info("exit.scores", TensorProto.FLOAT, ["rows", 3]),
            helper.make_tensor_value_info("exit.label", TensorProto.INT64, ["rows"]),
        ]
    )
    return proto


def by_hand(proto, x):
    """Return the scores of `dense`, computed by numpy."""
    t = {i.name: numpy_helper.to_array(i).astype(np.float64) for i in proto.graph.initializer}
    hidden = np.maximum(x @ t["first.weight"] + t["first.bias"], 0)
    scores = np.exp(hidden @ t["second.weight"] + t["second.bias"])
    return scores / scores.sum(1, keepdims=True)
