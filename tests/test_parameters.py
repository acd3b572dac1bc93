import hashlib
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aeros_core.errors import ConfigError
from aeros_core.parameters import Layout, Parameters

DTYPES = st.sampled_from(["float16", "float32", "float64", "int8", "int64"])
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
TENSORS = st.dictionaries(st.text(max_size=6), st.tuples(SHAPES, DTYPES), max_size=6)


@st.composite
def parameters(draw, least=0):
    shapes = draw(
        st.dictionaries(st.text(max_size=4), st.tuples(SHAPES, DTYPES), min_size=least, max_size=3)
    )
    arrays = {}
    for name, (shape, dtype) in shapes.items():
        arrays[name] = draw(hnp.arrays(dtype, shape))
    return arrays


@given(TENSORS)
def test_a_layout_comes_back_from_json(shapes):
    layout = Layout.of(shapes)
    again = Layout.from_json(json.loads(json.dumps(layout.to_json())))
    assert again == layout
    assert again.digest == layout.digest
    assert again.sizes == layout.sizes
    assert hash(again) == hash(layout)


@given(TENSORS)
def test_tensors_of_one_dtype_lie_one_behind_the_other(shapes):
    layout = Layout.of(shapes)
    ends = {}
    for spec in layout.tensors:
        assert (spec.shape, spec.dtype) == shapes[spec.name]
        assert spec.offset == ends.get(spec.dtype, 0)
        assert spec.size == int(np.prod(spec.shape))
        ends[spec.dtype] = spec.offset + spec.size
    assert layout.sizes == ends
    assert layout.nbytes == sum(np.zeros(s, d).nbytes for s, d in shapes.values())


def test_a_layouts_digest_is_the_hash_of_its_json():
    layout = Layout.of({"weight": ((2, 3), "float32"), "bias": ((3,), "float32")})
    text = '[["weight",[2,3],"float32",0],["bias",[3],"float32",6]]'
    assert layout.digest == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        {"b": ((2,), "float32"), "a": ((3,), "float32")},
        {"a": ((3,), "float32"), "c": ((2,), "float32")},
        {"a": ((3,), "float32"), "b": ((2, 1), "float32")},
        {"a": ((3,), "float32"), "b": ((2,), "float64")},
        {"a": ((3,), "float32")},
    ],
)
def test_another_name_shape_dtype_or_order_is_another_layout(other):
    layout = Layout.of({"a": ((3,), "float32"), "b": ((2,), "float32")})
    assert Layout.of(other) != layout
    assert Layout.of(other).digest != layout.digest


@given(parameters())
def test_packed_arrays_come_out_as_they_went_in(arrays):
    packed = Parameters.of(arrays)
    assert [name for name, _ in packed.items()] == list(packed) == list(arrays)
    for name, view in packed.items():
        np.testing.assert_array_equal(view, arrays[name])
        assert view.dtype == arrays[name].dtype
    assert packed.nbytes == sum(array.nbytes for array in arrays.values())


@given(parameters(least=1))
def test_tensors_are_views_of_the_vector(arrays):
    packed = Parameters.of(arrays)
    for name in arrays:
        packed[name][...] = 1
    for vector in packed.vectors.values():
        assert (vector == 1).all()
    for vector in packed.vectors.values():
        vector[...] = 2
    assert all((view == 2).all() for _, view in packed.items())


@given(parameters())
def test_a_copy_is_equal_and_independent(arrays):
    packed = Parameters.of(arrays)
    before = packed.digest
    copied = packed.copy()
    assert copied.digest == before
    for vector in copied.vectors.values():
        vector[...] += 1
    assert packed.digest == before


@given(parameters(least=1), st.data())
def test_the_digest_changes_with_any_bit(arrays, data):
    packed = Parameters.of(arrays)
    before = packed.digest
    vectors = {d: v for d, v in packed.vectors.items() if v.size}
    if not vectors:
        return
    raw = vectors[data.draw(st.sampled_from(sorted(vectors)))].view(np.uint8)
    place = data.draw(st.integers(0, len(raw) - 1))
    bit = np.uint8(1 << data.draw(st.integers(0, 7)))
    raw[place] ^= bit
    assert packed.digest != before
    raw[place] ^= bit
    assert packed.digest == before


def test_the_digest_is_the_hash_of_layout_and_pieces():
    packed = Parameters.of(
        {"w": np.array([1.5, -0.0], dtype="float32"), "n": np.array([3], dtype="int64")}
    )
    sha = hashlib.sha256(packed.layout.digest.encode())
    sha.update(hashlib.sha256(bytes.fromhex("0000c03f 00000080")).digest())
    sha.update(hashlib.sha256((3).to_bytes(8, "little")).digest())
    assert packed.digest == sha.hexdigest()


def test_a_long_vector_is_hashed_in_pieces():
    long = Parameters.of({"w": np.arange(5_000_000, dtype="float32")})
    raw = long.vector.tobytes()
    sha = hashlib.sha256(long.layout.digest.encode())
    for piece in (raw[: 2**24], raw[2**24 :]):
        sha.update(hashlib.sha256(piece).digest())
    assert long.digest == sha.hexdigest()


def test_equal_bytes_under_other_names_have_another_digest():
    values = np.ones(4, dtype="float32")
    digests = {
        Parameters.of({"a": values}).digest,
        Parameters.of({"b": values}).digest,
        Parameters.of({"a": values.reshape(2, 2)}).digest,
        Parameters.of({"a": values[:2], "b": values[2:]}).digest,
    }
    assert len(digests) == 4


@given(parameters())
def test_parameters_are_picklable(arrays):
    packed = Parameters.of(arrays)
    again = pickle.loads(pickle.dumps(packed))
    assert again.layout == packed.layout
    assert again.digest == packed.digest


@pytest.mark.parametrize(
    "vectors",
    [{"float32": np.zeros(3)}, {}, {"float32": np.zeros(5), "float64": np.zeros(1)}],
    ids=["too short", "none", "one more"],
)
def test_vectors_that_do_not_fit_are_refused(vectors):
    layout = Layout.of({"w": ((5,), "float32")})
    with pytest.raises(ConfigError) as refused:
        Parameters(layout, vectors)
    lengths = {name: len(vector) for name, vector in vectors.items()}
    assert str(refused.value) == (
        f"vectors of lengths {lengths} do not fit the layout\n  exists: lengths {{'float32': 5}}"
    )


def test_zeros_are_zero_and_the_vector_is_the_float32_one():
    layout = Layout.of({"w": ((2, 2), "float32"), "n": ((), "int64")})
    zeros = Parameters.zeros(layout)
    assert zeros.vector is zeros.vectors["float32"]
    assert zeros.vector.tolist() == [0, 0, 0, 0]
    assert zeros["n"].shape == ()


def test_a_tensor_that_is_not_there_is_a_key_error(flat):
    with pytest.raises(KeyError, match="bias"):
        flat(1)["bias"]


@pytest.mark.parametrize(
    "values", [np.array(["a"]), np.array([None]), np.zeros(2, "V8"), np.zeros(1, "i4,f4")]
)
def test_a_tensor_of_no_numbers_is_refused_by_name(values):
    with pytest.raises(ConfigError, match="tensor 'names' holds"):
        Parameters.of({"names": values})
