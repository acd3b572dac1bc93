"""Small graphs of many kinds, and their answers by onnxruntime itself."""

from __future__ import annotations

import onnx
import onnxruntime
from onnx import TensorProto, helper


def graph(nodes, inputs, outputs, tensors=(), opset=18, ir=8, domains=()):
    """Return a model of these nodes; inputs and outputs are ``{name: (dtype, shape)}``."""
    made = helper.make_graph(
        nodes,
        "made",
        [value(name, *kind) for name, kind in inputs.items()],
        [value(name, *kind) for name, kind in outputs.items()],
        list(tensors),
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(made, opset_imports=imports, ir_version=ir)


def value(name, dtype, shape):
    """Return a description of a tensor; the dtype is a name of ONNX such as ``FLOAT``."""
    return helper.make_tensor_value_info(name, TensorProto.DataType.Value(dtype), shape)


def node(op, inputs, outputs, **options):
    """Return a node; inputs and outputs are names with spaces between them."""
    return helper.make_node(op, inputs.split(), outputs.split(), **options)


def saved(proto, path):
    """Write a model to a file; return its path."""
    onnx.save(proto, path)
    return path


def by_onnxruntime(path, **inputs):
    """Return every output of a file by onnxruntime alone, by name."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))
