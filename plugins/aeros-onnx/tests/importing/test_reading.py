import numpy as np
import onnx
import pytest
from drawings import dense
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from aeros_core.errors import AerosError, ConfigError, DataError, RepositoryError
from aeros_onnx import file_format, graph, validation


@pytest.fixture
def written(tmp_path):
    def write(proto):
        path = tmp_path / "a.onnx"
        path.write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
        return path

    return write


def test_a_whole_file_is_read(written):
    assert validation.read(written(dense())) == dense()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(RepositoryError, match=r"no\.onnx cannot be read: No such file"):
        validation.read(tmp_path / "no.onnx")


@pytest.mark.parametrize("data", [b"", b"nothing at all", b"\x00" * 64], ids=str)
def test_what_is_no_onnx(written, data):
    with pytest.raises(RepositoryError, match="is no whole ONNX file"):
        validation.read(written(data))


def test_a_part_of_a_file(written):
    data = dense().SerializeToString()
    for length in range(0, len(data), 7):
        with pytest.raises(AerosError):
            file_format.load(written(data[:length]), "m")


def test_a_file_that_is_too_large(written, monkeypatch):
    monkeypatch.setattr(validation, "LARGEST", 100)
    with pytest.raises(ConfigError, match="is larger than an ONNX file can be, 100 bytes"):
        validation.read(written(dense()))


def test_other_files_are_never_opened(written, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(np.ones(24, np.float32).tobytes())
    for where in (str(secret), "secret", "../secret"):
        proto = dense()
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=where)
        with pytest.raises(ConfigError, match=r"keeps tensor 'first.weight' in another file"):
            validation.read(written(proto))


def test_other_files_are_not_opened_for_constants_in_graphs_within(written):
    proto = dense()
    value = helper.make_tensor("deep", TensorProto.FLOAT, [1], [0.0])
    value.data_location = TensorProto.EXTERNAL
    value.external_data.add(key="location", value="/etc/passwd")
    constant = helper.make_node("Constant", [], ["c"], value=value)
    inner = helper.make_graph(
        [constant], "inner", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])]
    )
    truth = helper.make_node(
        "Constant", [], ["t"], value=helper.make_tensor("t", TensorProto.BOOL, [], [True])
    )
    branch = helper.make_node("If", ["t"], ["d"], then_branch=inner, else_branch=inner)
    proto.graph.node.extend([truth, branch])
    with pytest.raises(ConfigError, match="keeps tensor 'deep' in another file"):
        validation.read(written(proto))


@pytest.mark.parametrize("dims", [[10**6, 10**6], [-4, -6], [5, 6], [0, 2**62]], ids=str)
def test_a_tensor_without_the_bytes_of_its_shape(written, dims):
    proto = dense()
    proto.graph.initializer[0].dims[:] = dims
    with pytest.raises(RepositoryError, match=r"'first.weight' has not the bytes of its shape"):
        validation.read(written(proto))


def test_a_tensor_without_the_values_of_its_shape(written):
    proto = dense()
    proto.graph.initializer[1].ClearField("raw_data")
    proto.graph.initializer[1].dims[:] = [10**12]
    with pytest.raises(RepositoryError, match=r"'first.bias' has not the values of its shape"):
        validation.read(written(proto))


@pytest.mark.parametrize("kind", ["BFLOAT16", "FLOAT8E4M3FN", "INT4"])
def test_dtypes_that_numpy_has_not_are_named(written, kind):
    proto = dense()
    proto.graph.initializer[0].data_type = TensorProto.DataType.Value(kind)
    with pytest.raises(ConfigError, match=f"'first.weight' is of dtype {kind.lower()}, which num"):
        validation.read(written(proto))


@pytest.mark.parametrize(
    ("op", "domain", "said"),
    [
        ("Evil", "", "an operator Evil of ai.onnx that"),
        ("Relu", "my.own", "an operator Relu of my.own that"),
        ("PythonOp", "com.microsoft", "an operator PythonOp of com.microsoft that"),
    ],
)
def test_operators_that_nobody_knows(written, op, domain, said):
    proto = dense()
    proto.graph.node[1].op_type, proto.graph.node[1].domain = op, domain
    proto.opset_import.append(helper.make_opsetid("my.own", 1))
    with pytest.raises(ConfigError, match=said):
        validation.read(written(proto))


def test_functions_of_the_file_itself_are_known(written):
    proto = dense()
    opset = [helper.make_opsetid("", 18)]
    proto.functions.append(
        helper.make_function(
            "my.own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], opset
        )
    )
    proto.opset_import.append(helper.make_opsetid("my.own", 1))
    proto.graph.node[1].op_type, proto.graph.node[1].domain = "Twice", "my.own"
    assert file_format.load(written(proto), "m").schema.names == ("x",)


def test_a_graph_that_is_not_valid(written):
    proto = dense()
    proto.graph.node[1].input[0] = "nowhere"
    with pytest.raises(RepositoryError, match="is not valid ONNX: "):
        validation.read(written(proto))


def test_a_graph_that_cannot_run(written):
    proto = dense()
    proto.graph.initializer[0].CopyFrom(
        onnx.numpy_helper.from_array(np.zeros((5, 6), np.float32), "first.weight")
    )
    with pytest.raises(RepositoryError, match="onnxruntime cannot run the graph: "):
        file_format.load(written(proto), "m")


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=6))
def test_damaged_bytes_are_refused_or_read(written, at, bytes_):
    data = bytearray(dense().SerializeToString())
    at %= len(data)
    data[at : at + len(bytes_)] = bytes_
    try:
        model = graph.packed(validation.read(written(bytes(data))), "m")
    except AerosError:
        return
    assert graph.holds_graph(model)


@pytest.mark.parametrize("inside", [False, True], ids=["initialiser", "constant"])
def test_a_sparse_tensor_that_would_fill_the_machine(written, inside):
    proto = dense()
    values = helper.make_tensor("large", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("places", TensorProto.INT64, [1], [0])
    sparse = helper.make_sparse_tensor(values, indices, [2**40])
    if inside:
        node = helper.make_node("Constant", [], ["c"])
        node.attribute.append(helper.make_attribute("sparse_value", sparse))
        proto.graph.node.insert(0, node)
    else:
        proto.graph.sparse_initializer.append(sparse)
    with pytest.raises(DataError, match=r"sparse tensor 'large' takes 8 TiB of memory, more"):
        validation.read(written(proto))
