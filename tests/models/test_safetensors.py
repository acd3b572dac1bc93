import contextlib
import json
import stat
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.models.safetensors import load, save
from aeros_core.parameters import Layout, Parameters
from aeros_core.records import Model
from aeros_core.schema import Field, Schema
from aeros_core.testing.examples.fuzzing import changed, damaged, deep

DTYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
]  # fmt: skip


def model(tensors):
    return Model("digits", Parameters.of(tensors), Schema(()), run="r", round=3)


def tensors():
    rng = np.random.default_rng(1)
    made = {f"of.{d}": (100 * rng.standard_normal((3, 5))).astype(d) for d in DTYPES if d[0] != "u"}
    made |= {f"of.{d}": rng.integers(0, 200, (3, 5)).astype(d) for d in DTYPES if d[0] == "u"}
    return made | {
        "scalar": np.array(2**60),
        "empty": np.zeros((0, 3), np.float32),
        "ä ☃": np.ones(1),
    }


def test_the_library_reads_what_is_written(tmp_path):
    expected = tensors()
    nbytes = save(tmp_path / "m.safetensors", model(expected))
    assert nbytes == (tmp_path / "m.safetensors").stat().st_size
    found = safetensors.numpy.load_file(tmp_path / "m.safetensors")
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_the_file_is_as_the_specification_says(tmp_path):
    save(tmp_path / "m.safetensors", model(tensors()))
    data = (tmp_path / "m.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    told = header.pop("__metadata__")
    assert (told["aeros.name"], told["aeros.round"]) == ("digits", "3")
    assert told["aeros.digest"] == model(tensors()).parameters.digest
    offsets = [entry["data_offsets"] for entry in header.values()]
    assert [start for start, _ in offsets] == [0, *(end for _, end in offsets[:-1])]
    assert offsets[-1][1] == len(data) - 8 - length
    assert length % 8 == 0
    start, end = header["of.float32"]["data_offsets"]
    assert data[8 + length :][start:end] == tensors()["of.float32"].tobytes()
    assert start % 4 == 0


def test_what_the_format_has_no_word_for_is_refused(tmp_path):
    with pytest.raises(ConfigError) as caught:
        save(tmp_path / "m.safetensors", model({"w": np.zeros(2, np.complex128)}))
    assert str(caught.value).startswith(
        "tensor 'w' of dtype complex128 has no place in a safetensors file\n  exists: dtypes bf"
    )
    with pytest.raises(ConfigError, match="tensor '__metadata__' of dtype float32"):
        save(tmp_path / "m.safetensors", model({"__metadata__": np.zeros(2, np.float32)}))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "m.safetensors").mkdir()
    (tmp_path / "m.safetensors" / "inside").touch()
    small = model({"w": np.zeros(2, np.float32)})
    with pytest.raises(RepositoryError) as caught:
        save(tmp_path / "m.safetensors", small)
    assert str(caught.value) == (
        f"{tmp_path / 'm.safetensors'} could not be written: Is a directory\n"
        "  next: choose another file"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]
    with pytest.raises(RepositoryError, match="No such file or directory"):
        save(tmp_path / "nowhere" / "m.safetensors", small)


def test_tensors_that_share_memory_are_written_once_each(tmp_path):
    rows = [["a", [4], "float32", 0], ["b", [2], "float32", 2]]
    tied = Parameters(Layout.from_json(rows), {"float32": np.arange(4, dtype=np.float32)})
    save(tmp_path / "m.safetensors", Model("m", tied, Schema(())))
    data = (tmp_path / "m.safetensors").read_bytes()
    assert np.frombuffer(data[-24:], np.float32).tolist() == [0, 1, 2, 3, 2, 3]


def test_a_file_is_as_readable_as_any_other(tmp_path):
    (tmp_path / "other").touch()
    save(tmp_path / "m.safetensors", model(tensors()))
    modes = {name: (tmp_path / name).stat().st_mode for name in ("other", "m.safetensors")}
    assert stat.S_IMODE(modes["m.safetensors"]) == stat.S_IMODE(modes["other"])


def test_tensors_come_back_in_their_order(tmp_path):
    """Of which the digest depends."""
    mixed = {"z": np.ones(2, np.int8), "b": np.ones(1), "y": np.ones(3, np.int8), "a": np.ones(1)}
    first = model(mixed)
    save(tmp_path / "m.safetensors", first)
    found = load(tmp_path / "m.safetensors", "m").parameters
    assert [spec.name for spec in found.layout.tensors] == list(mixed)
    assert found.digest == first.parameters.digest


@pytest.mark.parametrize("told", [["b"], ["a", "a"], ["a", "c"], {"a": 1, "b": 2}])
def test_an_order_of_other_names_is_not_gone_by(tmp_path, told):
    entries = {"b": F32, "a": {**F32, "data_offsets": [8, 16]}}
    metadata = {"aeros.tensors": json.dumps(told)}
    path = written(tmp_path / "m", {"__metadata__": metadata, **entries}, bytes(16))
    order = [spec.name for spec in load(path, "m").parameters.layout.tensors]
    assert order == (["a", "b"] if isinstance(told, dict) else ["b", "a"])


def test_a_file_of_an_earlier_version_is_read(tmp_path):
    """It says no order, and keeps tensors of one width in the order of the model."""
    entries = {"w": F32, "b": {**F32, "data_offsets": [8, 16]}}
    metadata = {"aeros.name": "digits", "aeros.digest": "d" * 64, "aeros.round": "3"}
    path = written(
        tmp_path / "m", {"__metadata__": metadata, **entries}, np.arange(4, dtype="<f4").tobytes()
    )
    found = load(path, "m")
    assert (found.round, found.parents) == (3, ("d" * 64,))
    assert {name: array.tolist() for name, array in found.parameters.items()} == {
        "w": [0, 1], "b": [2, 3],
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        '{"a": ENTRY, "a": ENTRY}',
        '{"__metadata__": {"aeros.round": "1", "aeros.round": "2"}, "a": ENTRY}',
        '{"a": {"dtype": "F32", "shape": [9], "shape": [2], "data_offsets": [0, 8]}}',
    ],
)
def test_a_name_that_is_there_twice_is_refused(tmp_path, text):
    head = text.replace("ENTRY", json.dumps(F32)).encode()
    (tmp_path / "m").write_bytes(len(head).to_bytes(8, "little") + head + bytes(8))
    with pytest.raises(RepositoryError, match="stands there twice"):
        load(tmp_path / "m", "m")


def test_a_name_that_is_a_path_is_a_name(tmp_path):
    path = written(tmp_path / "m.safetensors", {"../../a": F32}, bytes(8))
    assert [spec.name for spec in load(path, "m").parameters.layout.tensors] == ["../../a"]
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def test_no_tensors_and_nan_come_back(tmp_path):
    nan = replace(model({}), metrics={"loss": float("nan")})
    save(tmp_path / "m", nan)
    found = load(tmp_path / "m", "m")
    assert (len(found.parameters.layout.tensors), str(found.metrics["loss"])) == (0, "nan")
    values = np.array([np.nan, -np.nan, np.inf, -0.0], np.float32)
    save(tmp_path / "m", model({"a": values}))
    assert load(tmp_path / "m", "m").parameters["a"].tobytes() == values.tobytes()


def test_the_library_is_imported_where_a_file_is_read():
    code = (
        "import sys, aeros_core, aeros_core.plugins.discovery as plugins; plugins.discover()\n"
        "assert not {'safetensors', 'torch'} & {*sys.modules}\n"
        "import aeros_core.models.safetensors; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_was_saved_comes_back(tmp_path):
    first = model(tensors())
    save(tmp_path / "m.safetensors", first)
    found = load(tmp_path / "m.safetensors", "other")
    assert (found.name, found.round, found.schema) == ("other", 3, first.schema)
    assert found.parents == (first.parameters.digest,)
    assert dict(found.parameters.layout.sizes) == dict(first.parameters.layout.sizes)
    for name, array in tensors().items():
        assert found.parameters[name].dtype == array.dtype
        np.testing.assert_array_equal(found.parameters[name], array)


def test_what_the_library_writes_is_read(tmp_path):
    safetensors.numpy.save_file(tensors(), tmp_path / "m.safetensors", {"format": "np"})
    found = load(tmp_path / "m.safetensors", "mine")
    assert {name: array.tobytes() for name, array in found.parameters.items()} == {
        name: array.tobytes() for name, array in tensors().items()
    }
    assert (found.parents, found.round) == ((), 0)


def written(path, header, data=b""):
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ({"a": F32}, 7),
        ({"a": F32}, 9),
        ({"a": {**F32, "shape": [3]}}, 8),
        ({"a": {**F32, "shape": [-2]}}, 8),
        ({"a": {**F32, "shape": [True, 2]}}, 8),
        ({"a": {**F32, "data_offsets": [1, 9]}}, 9),
        ({"a": F32, "b": {**F32, "data_offsets": [4, 12]}}, 12),
        ({"a": F32, "b": F32}, 8),
        ({"a": {"dtype": "F32"}}, 8),
        ({"a": None}, 0),
        ([], 0),
    ],
    ids=str,
)
def test_a_file_that_is_not_whole(tmp_path, header, size):
    path = written(tmp_path / "m.safetensors", header, bytes(size))
    with pytest.raises(RepositoryError, match="is no whole safetensors file"):
        load(path, "mine")


def test_a_dtype_that_numpy_does_not_have(tmp_path):
    path = written(tmp_path / "m.safetensors", {"a": {**F32, "dtype": "F8_E8M0"}}, bytes(8))
    with pytest.raises(ConfigError, match="tensor 'a' is of dtype F8_E8M0"):
        load(path, "mine")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(RepositoryError, match="cannot be read: No such file"):
        load(tmp_path / "m.safetensors", "mine")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "m.safetensors"
    schema = Schema(
        (
            Field("image", "float32", (28, None), (0.0, 1.0), "lux"),
            Field("label", "int64", (), None, None, ("no", "yes")),
        ),
        "label",
    )
    tensors = {"a": np.ones((2, 3), np.float32), "b": np.arange(4), "c": np.ones(3, np.int8)}
    module = {"_target_": "mlp", "hidden": [3, 4]}
    made = replace(model(tensors), schema=schema, module=module, metrics={"loss": 0.5})
    save(path, made)
    assert load(path, "digits").schema == schema
    return path


def read_or_refused(path, data):
    """Read a file that holds these data; it may be refused, and may not be larger than it is."""
    path.write_bytes(data)
    with contextlib.suppress(RepositoryError, ConfigError):
        found = load(path, "mine")
        assert found.parameters.nbytes <= 4 * len(data)  # float8 becomes float32
        assert all(isinstance(value, float) for value in found.metrics.values())
        assert isinstance(found.module, dict)
        str(found.schema)


@settings(deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_in_one_message(whole, data):
    held = whole.read_bytes()
    read_or_refused(whole.with_name("changed"), data.draw(damaged(held, held)))


@settings(deadline=None)
@given(data=st.data())
def test_a_header_that_says_nonsense_is_read_or_refused_in_one_message(whole, data):
    held = whole.read_bytes()
    length = int.from_bytes(held[:8], "little")
    header = json.loads(held[8 : 8 + length])
    told = header["__metadata__"]
    inside = data.draw(st.sampled_from(["aeros.schema", "aeros.module", "aeros.metrics", None]))
    if inside:
        told[inside] = json.dumps(data.draw(changed(json.loads(told[inside]))))
    else:
        header = data.draw(changed(header))
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    rest = held[8 + length :]
    read_or_refused(whole.with_name("changed"), len(text).to_bytes(8, "little") + text + rest)


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}},
        {"a": {"dtype": "F32", "shape": [10**30], "data_offsets": [0, 4 * 10**30]}},
        {"a": {"dtype": "F32", "shape": [0, 10**30], "data_offsets": [0, 0]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, -4]}, "b": F32},
        {"a": {"dtype": "F32", "shape": [2**31, 2**33], "data_offsets": [0, 8]}},
        {"__metadata__": {"aeros.round": "9" * 5000}},
        {"__metadata__": {"aeros.metrics": "[1]"}},
        {"__metadata__": {"aeros.schema": '{"fields": [{"name": 1, "dtype": 2}], "target": 3}'}},
        {"__metadata__": deep(300)},
    ],
    ids=lambda header: str(header)[:60],
)
def test_a_header_that_announces_what_is_not_there(tmp_path, header):
    path = written(tmp_path / "m.safetensors", header, bytes(8))
    with pytest.raises(RepositoryError, match="is no whole safetensors file"):
        load(path, "mine")


@pytest.mark.parametrize("length", [2**20, 10**8, 2**40, 2**63, 2**64 - 1])
def test_a_header_of_any_length_is_not_made_room_for(tmp_path, length):
    (tmp_path / "m").write_bytes(length.to_bytes(8, "little") + b"{}" + bytes(100))
    tracemalloc.start()
    try:
        with pytest.raises(RepositoryError, match="its header is longer than the file"):
            load(tmp_path / "m", "mine")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_header_nested_without_end_is_refused(tmp_path):
    text = b"[" * 1_000_000
    (tmp_path / "m").write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(RepositoryError, match="is no whole safetensors file"):
        load(tmp_path / "m", "mine")


@pytest.mark.parametrize(
    ("word", "name", "width"),
    [("BF16", "bfloat16", 2), ("F8_E4M3", "float8_e4m3fn", 1), ("F8_E5M2", "float8_e5m2", 1)],
)
def test_floats_that_numpy_does_not_have_become_float32_with_the_same_values(
    tmp_path, word, name, width
):
    """Every one of them."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    codes = np.arange(256**width).astype(f"<u{width}")
    entry = {"dtype": word, "shape": [len(codes)], "data_offsets": [0, codes.nbytes]}
    found = load(written(tmp_path / "m.safetensors", {"a": entry}, codes.tobytes()), "m")
    expected = torch.from_numpy(codes.view(np.uint8)).view(getattr(torch, name)).float().numpy()
    assert found.parameters["a"].dtype == np.float32
    np.testing.assert_array_equal(found.parameters["a"], expected)


@pytest.mark.parametrize(
    ("word", "data", "values"),
    [
        ("BF16", b"\x80\x3f\x49\x40\x80\xff", [1.0, 3.140625, -np.inf]),
        ("F8_E4M3", b"\x38\x7e\x01\x81", [1.0, 448.0, 2**-9, -(2**-9)]),
        ("F8_E5M2", b"\x3c\x7b\x01\xfc", [1.0, 57344.0, 2**-16, -np.inf]),
    ],
)
def test_the_values_of_the_specifications(tmp_path, word, data, values):
    entry = {"dtype": word, "shape": [len(values)], "data_offsets": [0, len(data)]}
    found = load(written(tmp_path / "m.safetensors", {"a": entry}, data), "m").parameters["a"]
    assert found.tolist() == values
