"""Graphs as exporters write them: rows of a fixed number, one or several, or none at all."""

import numpy as np
import onnx
import pytest
from graphs import by_onnxruntime, graph, node, saved
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.roles.inferencer import SupportsFixedRows
from aeros_core.schema import Field
from aeros_core.testing import InferencerTests
from aeros_onnx import file_format
from aeros_onnx import graph as graphs
from aeros_onnx.importing import trial
from aeros_onnx.inferencer import OnnxInferencer


def serving(path, **options):
    """Return an inferencer that has loaded an imported file, and what the import said."""
    model, notes = file_format.load_graph(path, "m", **options)
    inferencer = OnnxInferencer(device="cpu", threads=1, batch_size=512, quantise="none")
    inferencer.load(model)
    return inferencer, notes


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def dense(rows, outputs=3):
    weight = numpy_helper.from_array(normal(4, outputs, seed=1), "w")
    return graph(
        [node("MatMul", "x w", "h"), node("Softmax", "h", "y", axis=1)],
        {"x": ("FLOAT", [rows, 4])},
        {"y": ("FLOAT", [rows, outputs])},
        [weight],
    )


class TestContractOfFixedRows(InferencerTests):
    """The contract, with a graph of two rows and a batch of seven."""

    def make(self):
        return OnnxInferencer(device="cpu", threads=1, batch_size=3, quantise="none")

    def model(self):
        return self.imported(dense(2))

    def other(self):
        return self.imported(dense(2, outputs=5))

    def batch(self):
        return {"x": normal(7, 4)}

    def imported(self, proto):
        return graphs.packed(proto, "m")


@pytest.mark.parametrize("fixed", [1, 2, 5])
@pytest.mark.parametrize("rows", [0, 1, 4, 5, 11])
def test_any_number_of_rows_is_answered_by_a_graph_of_a_fixed_number(tmp_path, fixed, rows):
    path = saved(dense(fixed), tmp_path / "a.onnx")
    open_path = saved(dense("rows"), tmp_path / "open.onnx")
    inferencer, notes = serving(path)
    x = normal(rows, 4)
    answer = inferencer.predict({"x": x})["y"]
    assert answer.shape == (rows, 3)
    np.testing.assert_allclose(answer, by_onnxruntime(open_path, x=x)["y"], rtol=1e-5)
    assert isinstance(inferencer, SupportsFixedRows)
    assert inferencer.fixed_rows == fixed
    said = f"it takes {fixed} rows at a time" if fixed > 1 else "it takes one row at a time"
    assert [note.partition(":")[0] for note in notes] == [said]


def test_a_graph_of_any_number_of_rows_has_no_fixed_one(tmp_path):
    inferencer, notes = serving(saved(dense("rows"), tmp_path / "a.onnx"))
    assert (inferencer.fixed_rows, notes) == (None, [])


@pytest.mark.parametrize("length", ["rows", None, 0], ids=str)
def test_lengths_that_are_left_open(tmp_path, length):
    proto = graph(
        [node("Add", "a b", "c"), node("Shape", "c", "s"), node("Abs", "a", "d")],
        {"a": ("FLOAT", [length, 3, length]), "b": ("FLOAT", ["others", 3, 1])},
        {"c": ("FLOAT", None), "d": ("FLOAT", [length, 3, length])},
    )
    inferencer, _ = serving(saved(proto, tmp_path / "a.onnx"))
    a, b = normal(4, 3, 6), normal(4, 3, 1, seed=1)
    answer = inferencer.predict({"a": a, "b": b})
    np.testing.assert_allclose(answer["c"], a + b, rtol=1e-6)
    np.testing.assert_array_equal(answer["d"], np.abs(a))


def test_a_graph_that_states_any_number_and_computes_one_row(tmp_path):
    shape = numpy_helper.from_array(np.array([1, 2, 2], np.int64), "shape")
    proto = graph(
        [node("Reshape", "x shape", "y")],
        {"x": ("FLOAT", ["rows", 4])},
        {"y": ("FLOAT", ["rows", 2, 2])},
        [shape],
    )
    inferencer, notes = serving(saved(proto, tmp_path / "a.onnx"))
    assert inferencer.fixed_rows == 1
    assert notes[0].startswith("it takes one row at a time")
    x = normal(5, 4)
    np.testing.assert_array_equal(inferencer.predict({"x": x})["y"], x.reshape(5, 2, 2))


# ---------------------------------------------------------------- every kind of tensor


KINDS = {
    "FLOAT": np.float32, "DOUBLE": np.float64, "FLOAT16": np.float16, "INT8": np.int8,
    "UINT8": np.uint8, "INT16": np.int16, "UINT16": np.uint16, "INT32": np.int32,
    "UINT32": np.uint32, "INT64": np.int64, "UINT64": np.uint64, "BOOL": np.bool_,
}  # fmt: skip


@pytest.mark.parametrize("rows", ["rows", 1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_inputs_and_outputs_of_every_dtype(tmp_path, kind, rows):
    proto = graph(
        [node("Concat", "a b", "joined", axis=2), node("Flatten", "b", "flat")],
        {"a": (kind, [rows, 2, 3]), "b": (kind, [rows, 2, 1])},
        {"joined": (kind, [rows, 2, 4]), "flat": (kind, [rows, 2])},
    )
    inferencer, _ = serving(saved(proto, tmp_path / "a.onnx"))
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 2, (4, 2, n)).astype(KINDS[kind]) for n in (3, 1))
    answer = inferencer.predict({"a": a, "b": b})
    assert answer["joined"].dtype == KINDS[kind]
    np.testing.assert_array_equal(answer["joined"], np.concatenate([a, b], axis=2))
    np.testing.assert_array_equal(answer["flat"], b[:, :, 0])


@pytest.mark.parametrize("rows", ["rows", 1, 3])
def test_texts(tmp_path, rows):
    proto = graph(
        [
            node("LabelEncoder", "x", "y", domain="ai.onnx.ml", keys_strings=["a", "b"],
                 values_int64s=[5, 7], default_int64=-1),
            node("Identity", "x", "z"),
        ],
        {"x": ("STRING", [rows, 2])},
        {"y": ("INT64", [rows, 2]), "z": ("STRING", [rows, 2])},
    )  # fmt: skip
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
    inferencer, _ = serving(saved(proto, tmp_path / "a.onnx"))
    x = np.array([["a", "b"], ["c", "a"], ["", "é"], ["b", "b"]], dtype=object)
    answer = inferencer.predict({"x": x})
    assert answer["y"].tolist() == [[5, 7], [-1, 5], [-1, -1], [7, 7]]
    assert answer["z"].tolist() == x.tolist()


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 15, 17, 18, 21, 22])
@pytest.mark.parametrize("whole", [False, True], ids=["rows", "whole"])
def test_opsets_old_and_new(tmp_path, opset, whole):
    weight = numpy_helper.from_array(normal(4, 3, seed=1), "w")
    proto = graph(
        [node("MatMul", "x w", "h"), node("Relu", "h", "y")],
        {"x": ("FLOAT", [2, 4])},
        {"y": ("FLOAT", [2, 3])},
        [weight],
        opset=opset,
    )
    path = saved(proto, tmp_path / "a.onnx")
    inferencer, _ = serving(path, unbatched=whole)
    x = normal(2, 4)
    answer = inferencer.predict({"x": x[None] if whole else x})["y"]
    expected = by_onnxruntime(path, x=x)["y"]
    np.testing.assert_allclose(answer[0] if whole else answer, expected, rtol=1e-6)
    np.testing.assert_allclose(
        expected, ReferenceEvaluator(proto).run(None, {"x": x})[0], rtol=1e-5
    )


# ---------------------------------------------------------------- served whole


def loss():
    """Return a graph with a scalar input and a scalar output, whose other inputs are no rows."""
    return graph(
        [
            node("MatMul", "a b", "p"),
            node("Mul", "p k", "c"),
            node("ReduceMean", "c", "m", keepdims=0),
        ],
        {"a": ("FLOAT", [2, 3]), "b": ("FLOAT", [3, 4]), "k": ("FLOAT", [])},
        {"c": ("FLOAT", [2, 4]), "m": ("FLOAT", [])},
    )  # fmt: skip


def test_a_graph_is_served_whole(tmp_path):
    path = saved(loss(), tmp_path / "a.onnx")
    model, notes = file_format.load_graph(path, "m", unbatched=True)
    assert notes == ["it is served whole: a row of a request is all that the graph takes"]
    assert model.schema.fields == (
        Field("a", "float32", (2, 3)), Field("b", "float32", (3, 4)), Field("k", "float32", ()),
    )  # fmt: skip
    inferencer, _ = serving(path, unbatched=True)
    rows = {"a": normal(5, 2, 3), "b": normal(5, 3, 4, seed=1), "k": normal(5, seed=2)}
    answer = inferencer.predict(rows)
    for row in range(5):
        one = {name: np.asarray(column[row]) for name, column in rows.items()}
        alone = by_onnxruntime(path, **one)
        assert answer["m"][row] == alone["m"]
        np.testing.assert_array_equal(answer["c"][row], alone["c"])


def test_a_graph_with_a_branch_is_served_whole(tmp_path):
    def branch(name, op):
        made = [node(op, "x", f"{name}.out")]
        return helper.make_graph(
            made, name, [], [helper.make_tensor_value_info(f"{name}.out", TensorProto.FLOAT, None)]
        )

    one = numpy_helper.from_array(np.zeros((), np.float32), "zero")
    proto = graph(
        [
            node("ReduceSum", "x", "sum", keepdims=0),
            node("Greater", "sum zero", "t"),
            node("If", "t", "y", then_branch=branch("p", "Abs"), else_branch=branch("q", "Neg")),
        ],
        {"x": ("FLOAT", [3])},
        {"y": ("FLOAT", [3])},
        [one],
    )  # fmt: skip
    path = saved(proto, tmp_path / "a.onnx")
    inferencer, _ = serving(path, unbatched=True)
    x = np.array([[1, 2, -1], [-1, -2, 1]], np.float32)
    np.testing.assert_array_equal(inferencer.predict({"x": x})["y"], [[1, 2, 1], [1, 2, -1]])


def test_a_graph_served_whole_has_outputs_of_any_length_a_row(tmp_path):
    proto = graph(
        [node("NonZero", "x", "y")], {"x": ("FLOAT", ["n"])}, {"y": ("INT64", [1, "found"])}
    )
    inferencer, _ = serving(saved(proto, tmp_path / "a.onnx"), unbatched=True)
    one = inferencer.predict({"x": np.array([[0, 3, 0, 2]], np.float32)})["y"]
    assert one.tolist() == [[[1, 3]]]
    with pytest.raises(ConfigError, match="output 'y' of the graph has another shape for each row"):
        inferencer.predict({"x": np.array([[0, 3, 0, 2], [0, 3, 0, 0]], np.float32)})


# ---------------------------------------------------------------- what can never be served


def sequence(op="SequenceConstruct", **options):
    proto = graph([node(op, "x", "y", **options)], {"x": ("FLOAT", ["n", 2])}, {})
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    if op == "Optional":
        kind = helper.make_optional_type_proto(
            helper.make_tensor_type_proto(TensorProto.FLOAT, ["n", 2])
        )
    proto.graph.output.append(helper.make_value_info("y", kind))
    return proto


def scalar():
    return graph(
        [node("Abs", "x", "y"), node("ReduceSum", "x", "total", keepdims=0)],
        {"x": ("FLOAT", ["n", 2])},
        {"y": ("FLOAT", ["n", 2]), "total": ("FLOAT", [])},
    )


def dependent():
    axes = numpy_helper.from_array(np.zeros(1, np.int64), "axes")
    return graph(
        [node("ReduceMean", "x axes", "mean"), node("Sub", "x mean", "y")],
        {"x": ("FLOAT", [4, 2])},
        {"y": ("FLOAT", [4, 2])},
        [axes],
    )


def never():
    shape = numpy_helper.from_array(np.array([7, 7], np.int64), "shape")
    return graph(
        [node("Abs", "x", "a"), node("Reshape", "a shape", "y")],
        {"x": ("FLOAT", ["n", "m"])},
        {"y": ("FLOAT", None)},
        [shape],
    )


def two_lengths():
    return graph(
        [node("MatMul", "a b", "y")],
        {"a": ("FLOAT", [2, 3]), "b": ("FLOAT", [3, 4])},
        {"y": ("FLOAT", [2, 4])},
    )


def pieces():
    return graph(
        [node("Split", "x", "y z", num_outputs=2)],
        {"x": ("FLOAT", [3])},
        {"y": ("FLOAT", [2]), "z": ("FLOAT", [1])},
    )


def bfloat():
    return graph(
        [node("Cast", "x", "y", to=TensorProto.BFLOAT16)],
        {"x": ("FLOAT", ["n"])},
        {"y": ("BFLOAT16", ["n"])},
    )


def shapeless():
    proto = scalar()
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    return proto


def without_inputs():
    value = numpy_helper.from_array(np.zeros(3, np.float32))
    return graph([node("Constant", "", "y", value=value)], {}, {"y": ("FLOAT", [3])})


def from_a_sequence():
    proto = graph([node("ConcatFromSequence", "x", "y", axis=0)], {}, {"y": ("FLOAT", None)})
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    proto.graph.input.append(helper.make_value_info("x", kind))
    return proto


@pytest.mark.parametrize(
    ("proto", "said", "todo"),
    [
        (sequence(), r"output 'y' of the graph is a sequence, seq\(tensor\(float\)\), which no r",
         "ConcatFromSequence or SequenceAt"),
        (sequence("Optional"), "output 'y' of the graph is a optional", "OptionalGetElement"),
        (scalar(), "output 'total' of the graph is a scalar, one value for all", "--unbatched"),
        (dependent(), "output 'y' of the graph depends on all 4 rows of 'x'", "--unbatched"),
        (never(), "the graph computes no row that is drawn by its inp.*Reshape", "--unbatched"),
        (two_lengths(), "different lengths in their first dimension, 'a' 2, 'b' 3", "--unbatched"),
        (pieces(), r"output 'y' of the graph is of shape \(2,\) for 3 rows", "--unbatched"),
        (loss(), "input 'k' of the graph is a scalar, without a dimension", "--unbatched"),
        (bfloat(), "output 'y' of the graph is of dtype bfloat16, which numpy", "Cast to float32"),
        (shapeless(), "input 'x' of the graph has no shape", "inputs of shape"),
        (without_inputs(), "the graph takes no input", "an input of shape"),
        (from_a_sequence(), "input 'x' of the graph is no tensor but a sequence", "tensors as inp"),
    ],
    ids=["sequence", "optional", "scalar", "dependent", "never", "lengths", "pieces", "input",
         "bfloat16", "shapeless", "no input", "sequence in"],
)  # fmt: skip
def test_what_can_never_be_served_is_refused_with_what_to_do(tmp_path, proto, said, todo):
    with pytest.raises(ConfigError, match=said) as caught:
        file_format.load(saved(proto, tmp_path / "a.onnx"), "m")
    assert todo in (caught.value.hint or "")


@pytest.mark.parametrize(
    "proto", [scalar(), dependent(), two_lengths(), pieces(), loss()],
    ids=["scalar", "dependent", "lengths", "pieces", "input"],
)  # fmt: skip
def test_what_is_advised_works(tmp_path, proto):
    path = saved(proto, tmp_path / "a.onnx")
    inferencer, _ = serving(path, unbatched=True)
    shapes = {
        value.name: [d.dim_value or 3 for d in value.type.tensor_type.shape.dim]
        for value in proto.graph.input
    }
    given = {name: normal(*shape) for name, shape in shapes.items()}
    answer = inferencer.predict({name: np.asarray(x)[None] for name, x in given.items()})
    for name, expected in by_onnxruntime(path, **given).items():
        np.testing.assert_array_equal(answer[name], expected[None])


def test_a_graph_that_computes_without_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "SECONDS", 0.2)
    state = helper.make_tensor_value_info("s", TensorProto.FLOAT, None)
    body = helper.make_graph(
        [node("Identity", "go", "on"), node("Add", "s s", "t")],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            state,
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("t", TensorProto.FLOAT, None),
        ],
    )
    tensors = [
        numpy_helper.from_array(np.array(2**62, np.int64), "times"),
        numpy_helper.from_array(np.array(True), "yes"),
    ]
    proto = graph(
        [node("Loop", "times yes x", "y", body=body)],
        {"x": ("FLOAT", [1, 2])},
        {"y": ("FLOAT", [1, 2])},
        tensors,
    )
    with pytest.raises(ConfigError, match="the graph computes no row that is drawn by its inputs"):
        file_format.load(saved(proto, tmp_path / "a.onnx"), "m")


# ---------------------------------------------------------------- what onnxruntime cannot run


def test_an_operator_of_another_opset_is_said_in_one_sentence_and_the_advice_works(tmp_path):
    weight = numpy_helper.from_array(normal(3, 4, seed=1), "w")
    bias = numpy_helper.from_array(normal(3, seed=2), "b")
    proto = graph(
        [node("Gemm", "x w b", "y", transB=1, broadcast=1)],
        {"x": ("FLOAT", [1, 4]), "w": ("FLOAT", [3, 4]), "b": ("FLOAT", [3])},
        {"y": ("FLOAT", [1, 3])},
        [weight, bias],
        opset=6,
        ir=3,
    )
    path = saved(proto, tmp_path / "a.onnx")
    with pytest.raises(RepositoryError, match=r"onnxruntime cannot run the graph: Could not") as e:
        file_format.load(path, "m")
    assert "\n" not in e.value.asked
    assert "onnx.version_converter.convert_version(onnx.load(FILE), 18)" in (e.value.hint or "")
    newer = onnx.version_converter.convert_version(onnx.load(path), 18)
    inferencer, _ = serving(saved(newer, tmp_path / "b.onnx"))
    x = normal(2, 4)
    expected = x @ normal(3, 4, seed=1).T + normal(3, seed=2)
    np.testing.assert_allclose(inferencer.predict({"x": x})["y"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda p: setattr(p.opset_import[0], "version", 99), RepositoryError, "it is of opset 99"),
        (lambda p: setattr(p, "ir_version", 99), RepositoryError, "IR version|ir_version"),
        (lambda p: setattr(p.graph.node[1], "op_type", "Softmaxx"), ConfigError, "Softmaxx of"),
        (lambda p: setattr(p.graph.node[1], "domain", "my.own"), ConfigError, "Softmax of my"),
        (lambda p: setattr(p.graph.node[1], "domain", "com.microsoft"), ConfigError, "of com.mic"),
    ],
    ids=["opset", "ir", "operator", "domain", "runtime"],
)  # fmt: skip
def test_what_onnxruntime_cannot_run_is_said_in_one_sentence(tmp_path, change, error, said):
    proto = dense(1)
    proto.opset_import.append(helper.make_opsetid("my.own", 1))
    change(proto)
    (tmp_path / "a.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(error, match=said) as caught:
        file_format.load(tmp_path / "a.onnx", "m")
    assert "\n" not in caught.value.asked
    assert "onnxruntime_src" not in str(caught.value)


def test_operators_of_onnxruntime_itself_are_served(tmp_path):
    proto = graph(
        [node("FastGelu", "x", "y", domain="com.microsoft")],
        {"x": ("FLOAT", ["n", 4])},
        {"y": ("FLOAT", ["n", 4])},
        domains=["com.microsoft"],
    )
    path = saved(proto, tmp_path / "a.onnx")
    inferencer, _ = serving(path)
    x = normal(3, 4)
    np.testing.assert_array_equal(inferencer.predict({"x": x})["y"], by_onnxruntime(path, x=x)["y"])


def test_an_operator_of_onnxruntime_that_opens_files_is_refused(tmp_path):
    proto = graph(
        [node("EPContext", "x", "y", domain="com.microsoft", ep_cache_context="/etc/passwd",
              embed_mode=0)],
        {"x": ("FLOAT", ["n", 4])},
        {"y": ("FLOAT", ["n", 4])},
        domains=["com.microsoft"],
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"an operator EPContext of com\.microsoft"):
        file_format.load(saved(proto, tmp_path / "a.onnx"), "m")
