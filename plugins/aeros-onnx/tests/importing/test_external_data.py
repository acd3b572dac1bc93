"""Tensors in other files: read from the model's own folder, and never from elsewhere."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import by_onnxruntime, graph, node, saved
from onnx import TensorProto, helper, numpy_helper

from aeros_core.errors import ConfigError, DataError, RepositoryError
from aeros_core.files import decompression
from aeros_onnx import file_format
from aeros_onnx.graph import runnable
from aeros_onnx.importing import external_data
from aeros_onnx.inferencer import OnnxInferencer


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def wide(size=200, tensors=None):
    """Return a graph with a large and a small matrix; the large one is of ``size`` columns."""
    weights = {"w": normal(4, size, seed=1), "v": normal(size, 3, seed=2), "b": normal(3, seed=3)}
    return graph(
        [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("Gemm", "r v b", "y")],
        {"x": ("FLOAT", ["rows", 4])},
        {"y": ("FLOAT", ["rows", 3])},
        [numpy_helper.from_array(array, name) for name, array in (tensors or weights).items()],
    )


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "model"
    made.mkdir()
    return made


def referring(folder, **entries):
    """Write a graph whose tensor ``w`` refers to another file by these entries; return its path."""
    proto = wide()
    tensor = proto.graph.initializer[0]
    (folder / "data.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": "data.bin"} | entries).items():
        tensor.external_data.add(key=key, value=value)
    path = folder / "a.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def served(path, **inputs):
    model = file_format.load(path, "m")
    inferencer = OnnxInferencer(device="cpu", threads=1, batch_size=512, quantise="none")
    inferencer.load(model)
    return inferencer.predict(inputs)


@pytest.mark.parametrize("one_file", [True, False], ids=["one file", "a file a tensor"])
@pytest.mark.parametrize("size", [200, 20_000], ids=["small", "large"])
def test_what_lies_beside_a_model_is_a_part_of_it(folder, one_file, size):
    path = folder / "a.onnx"
    onnx.save(
        wide(size), path, save_as_external_data=True, all_tensors_to_one_file=one_file,
        location="weights/a.data" if one_file else None, size_threshold=0,
    )  # fmt: skip
    assert len(list(folder.iterdir())) > 1
    x = normal(5, 4)
    expected = by_onnxruntime(saved(wide(size), folder.parent / "whole.onnx"), x=x)["y"]
    np.testing.assert_array_equal(served(path, x=x)["y"], expected)
    model = file_format.load(path, "m")
    whole = file_format.load(folder.parent / "whole.onnx", "m")
    assert {n: a.tobytes() for n, a in model.parameters.items() if n in "wvb"} == {
        n: a.tobytes() for n, a in whole.parameters.items() if n in "wvb"
    }


@pytest.fixture(autouse=True)
def _weights_folder(folder):
    (folder / "weights").mkdir()


def test_initialisers_that_are_inputs_too_are_no_part_of_a_request(folder):
    path = referring(folder)
    proto = onnx.load(path, load_external_data=False)
    proto.ir_version = 3
    for tensor in proto.graph.initializer:
        proto.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    path.write_bytes(proto.SerializeToString())
    assert file_format.load(path, "m").schema.names == ("x",)
    expected = by_onnxruntime(path, x=normal(2, 4))["y"]
    np.testing.assert_array_equal(served(path, x=normal(2, 4))["y"], expected)


def test_a_model_is_stored_whole_and_needs_its_files_no_more(folder):
    path = referring(folder)
    model = file_format.load(path, "m")
    expected = by_onnxruntime(path, x=normal(2, 4))["y"]
    for file in folder.rglob("*.*"):
        file.unlink()
    inferencer = OnnxInferencer(device="cpu", threads=1, batch_size=512, quantise="none")
    inferencer.load(model)
    np.testing.assert_array_equal(inferencer.predict({"x": normal(2, 4)})["y"], expected)


def test_an_offset_and_a_length_are_kept_to(folder):
    path = referring(folder, offset="4096", length="3200")
    data = (folder / "data.bin").read_bytes()
    (folder / "data.bin").write_bytes(b"\xff" * 4096 + data + b"\xff" * 100)
    np.testing.assert_array_equal(
        file_format.load(path, "m").parameters["w"], normal(4, 200, seed=1)
    )


def test_a_shape_in_another_file_is_known_to_onnxruntime(folder):
    proto = graph(
        [node("Reshape", "x shape", "y")],
        {"x": ("FLOAT", ["rows", 4])},
        {"y": ("FLOAT", ["rows", 2, 2])},
        [numpy_helper.from_array(np.array([-1, 2, 2], np.int64), "shape")],
    )
    path = folder / "a.onnx"
    onnx.save(proto, path, save_as_external_data=True, size_threshold=0)
    assert onnx.load(path, load_external_data=False).graph.initializer[0].external_data
    assert served(path, x=normal(3, 4))["y"].shape == (3, 2, 2)


def test_large_initialisers_are_not_serialised_for_onnxruntime(folder):
    model = file_format.load(saved(wide(20_000), folder / "a.onnx"), "m")
    data, large = runnable(model)
    assert set(large) == {"w", "v"}
    assert len(data) < 1000
    assert all(np.shares_memory(array, model.parameters[name]) for name, array in large.items())


def test_constants_within_nodes_are_read_too(folder):
    value = TensorProto(name="deep", data_type=TensorProto.FLOAT, dims=[3])
    value.data_location = TensorProto.EXTERNAL
    value.external_data.add(key="location", value="deep.bin")
    (folder / "deep.bin").write_bytes(np.array([1, 2, 3], np.float32).tobytes())
    constant = helper.make_node("Constant", [], ["c"], value=value)
    proto = graph(
        [constant, node("Add", "x c", "y")],
        {"x": ("FLOAT", ["rows", 3])},
        {"y": ("FLOAT", ["rows", 3])},
    )
    (folder / "a.onnx").write_bytes(proto.SerializeToString())
    answer = served(folder / "a.onnx", x=np.ones((2, 3), np.float32))["y"]
    assert answer.tolist() == [[2, 3, 4], [2, 3, 4]]


def test_a_large_constant_within_a_node_in_another_file_is_refused(folder, monkeypatch):
    monkeypatch.setattr(external_data, "_LARGEST_KEPT", 8)
    with pytest.raises(ConfigError, match="keeps 'deep', a constant within a node") as caught:
        test_constants_within_nodes_are_read_too(folder)
    assert caught.value.hint == "make it an initialiser of the graph"


@pytest.mark.parametrize("kind", ["DOUBLE", "FLOAT16", "INT8", "UINT8", "BOOL", "INT64"])
def test_tensors_of_other_dtypes_lie_in_files_too(folder, kind):
    dtype = helper.tensor_dtype_to_np_dtype(TensorProto.DataType.Value(kind))
    held = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    proto = graph(
        [node("Concat", "x w", "y", axis=0)], {"x": (kind, ["rows", 3])}, {"y": (kind, ["all", 3])},
        [numpy_helper.from_array(held, "w")],
    )  # fmt: skip
    onnx.save(proto, folder / "a.onnx", save_as_external_data=True, size_threshold=0)
    answer = served(folder / "a.onnx", x=np.zeros((1, 3), dtype))["y"]
    np.testing.assert_array_equal(answer, np.concatenate([np.zeros((1, 3), dtype), held]))


# ---------------------------------------------------------------- attacks


@pytest.fixture
def secret(folder):
    """A file outside the folder that holds just what the tensor needs."""
    path = folder.parent / "secret"
    path.write_bytes(normal(4, 200, seed=1).tobytes())
    return path


@pytest.mark.parametrize(
    "location",
    ["{secret}", "../secret", "weights/../../secret", "./../secret", "weights/../data.bin", "..",
     "/etc/passwd", "/proc/self/mem", "file:///etc/passwd/../secret", "", ".", "/", "a\0b"],
)  # fmt: skip
def test_files_outside_the_folder_are_never_opened(folder, secret, location, monkeypatch):
    path = referring(folder, location=location.format(secret=secret))
    opened = watched(monkeypatch)
    with pytest.raises(ConfigError, match="outside its own folder, which is not opened") as caught:
        file_format.load(path, "m")
    assert "onnx.save" in (caught.value.hint or "")
    assert not [name for name in opened if name in ("secret", "passwd", "mem", "data.bin")]


def watched(monkeypatch):
    """Return the names of files that are opened by descriptor from now on."""
    opened, real = [], os.open

    def spy(path, *args, **options):
        opened.append(Path(os.fsdecode(path)).name)
        return real(path, *args, **options)

    monkeypatch.setattr(os, "open", spy)
    return opened


@pytest.mark.parametrize("to", ["secret", "data.bin"], ids=["outside", "inside"])
def test_a_symbolic_link_is_not_followed(folder, secret, to):
    (folder / "link").symlink_to(secret if to == "secret" else folder / to)
    path = referring(folder, location="link")
    with pytest.raises(ConfigError, match=r"'link', which is a link and is not followed") as caught:
        file_format.load(path, "m")
    assert "cp --dereference" in (caught.value.hint or "")


def test_a_folder_that_is_a_link_is_not_followed(folder, secret):
    (folder / "sub").symlink_to(secret.parent)
    with pytest.raises(ConfigError, match="'sub/secret', which is a link and is not followed"):
        file_format.load(referring(folder, location="sub/secret"), "m")


def test_a_hard_link_to_a_file_outside_is_not_read(folder, secret):
    (folder / "hard").hardlink_to(secret)
    with pytest.raises(ConfigError, match="'hard', which is a link and is not followed"):
        file_format.load(referring(folder, location="hard"), "m")


def test_a_link_that_is_swapped_in_after_the_look_is_not_followed(folder, secret, monkeypatch):
    path = referring(folder)
    real = os.open

    def swap(name, *args, **options):
        if name == "data.bin":
            (folder / "data.bin").unlink()
            (folder / "data.bin").symlink_to(secret)
        return real(name, *args, **options)

    monkeypatch.setattr(os, "open", swap)
    with pytest.raises(ConfigError, match="which is a link and is not followed"):
        file_format.load(path, "m")


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_regular_file_is_not_opened(folder, kind):
    path = referring(folder, location="odd")
    if kind == "pipe":
        os.mkfifo(folder / "odd")
    else:
        (folder / "odd").mkdir()
    with pytest.raises(ConfigError, match=r"is a (named pipe|folder), not a regular file"):
        file_format.load(path, "m")


def test_a_file_that_is_not_there_is_named(folder):
    with pytest.raises(
        RepositoryError, match=r"keeps tensor 'w' in 'gone\.bin', which cannot be rea"
    ):
        file_format.load(referring(folder, location="gone.bin"), "m")


@pytest.mark.parametrize(
    "entries",
    [{"offset": "4"}, {"offset": "-4"}, {"offset": "99999999999999999999"}, {"offset": "x"},
     {"length": "3196"}, {"length": "3204"}, {"length": "-1"}, {"offset": "1e3"}],
    ids=str,
)  # fmt: skip
def test_a_file_that_does_not_hold_the_tensor_is_refused(folder, entries):
    with pytest.raises(
        RepositoryError, match=r"'data.bin' does not hold tensor 'w' of shape \[4, "
    ):
        file_format.load(referring(folder, **entries), "m")


@pytest.mark.parametrize("dims", [[4, -200], [2**40, 2**40], [4, 201], [0, 2**62]], ids=str)
def test_a_shape_that_the_file_does_not_have_is_refused(folder, dims):
    path = referring(folder)
    proto = onnx.load(path, load_external_data=False)
    proto.graph.initializer[0].dims[:] = dims
    path.write_bytes(proto.SerializeToString())
    with pytest.raises((RepositoryError, ConfigError)):
        file_format.load(path, "m")


def test_many_tensors_of_the_same_bytes_do_not_fill_the_machine(folder, monkeypatch):
    monkeypatch.setattr(decompression, "FLOOR", 2**16)
    path = referring(folder)
    proto = onnx.load(path, load_external_data=False)
    for number in range(200):
        copy = proto.graph.initializer.add()
        copy.CopyFrom(proto.graph.initializer[0])
        copy.name = f"copy{number}"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(DataError, match=r"keeps in other files takes .* of memory, more than"):
        file_format.load(path, "m")


def test_a_file_of_holes_does_not_fill_the_machine(folder):
    path = referring(folder)
    proto = onnx.load(path, load_external_data=False)
    proto.graph.initializer[0].dims[:] = [4, 2**34]
    path.write_bytes(proto.SerializeToString())
    with (folder / "data.bin").open("r+b") as file:
        file.truncate(2**38)
    with pytest.raises(DataError, match="takes 256 GiB of memory, more than"):
        file_format.load(path, "m")


@pytest.mark.parametrize("kind", ["BFLOAT16", "INT4", "STRING", "FLOAT8E5M2"])
def test_dtypes_that_numpy_has_not_are_refused_in_other_files_too(folder, kind):
    path = referring(folder)
    proto = onnx.load(path, load_external_data=False)
    proto.graph.initializer[0].data_type = TensorProto.DataType.Value(kind)
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ConfigError, match=f"tensor 'w' of dtype {kind.lower()} in another file"):
        file_format.load(path, "m")
