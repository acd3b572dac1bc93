import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.parameters import Layout, TensorSpec
from aeros_zarr.blobs import vector_pieces
from aeros_zarr.blobs.vector_pieces import VectorPiece
from aeros_zarr.format import arrays

PAGE = 1024  # float32 elements of 4096 bytes


def layout(*sizes):
    return Layout.of({f"w{n}": ((size,), "float32") for n, size in enumerate(sizes)})


@pytest.mark.parametrize(
    ("sizes", "borders"),
    [
        ((), [0]),
        ((5,), [0]),
        ((5, 6, 7), [0]),
        ((PAGE,), [0, PAGE]),
        ((3, PAGE, 4, 5, PAGE), [0, 3, PAGE + 3, PAGE + 12, 2 * PAGE + 12]),
        ((PAGE // 2,) * 5, [0, PAGE, 2 * PAGE]),
    ],
    ids=str,
)
def test_large_tensors_are_cut_out_and_runs_of_small_ones_stay_together(sizes, borders):
    assert vector_pieces.borders(layout(*sizes), "float32") == borders
    assert vector_pieces.borders(layout(*sizes), "int8") == [0]


def test_tensors_that_share_memory_are_cut_at_all_their_edges():
    tied = Layout((TensorSpec("a", (PAGE,), "float32", 0), TensorSpec("b", (PAGE,), "float32", 9)))
    assert vector_pieces.borders(tied, "float32") == [0, 9, PAGE, PAGE + 9]


@given(
    sizes=st.lists(st.integers(0, 3 * PAGE), max_size=6),
    dtype=st.sampled_from(["float32", "int8", "float64"]),
    chunk=st.integers(64, 9000),
)
def test_pieces_lie_one_behind_the_other_and_never_across_chunk_files(sizes, dtype, chunk):
    vector = np.arange(sum(sizes)).astype(dtype)
    cut = Layout.of({f"w{n}": ((size,), dtype) for n, size in enumerate(sizes)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "CHUNK", chunk)
        found = arrays.pieces(vector, vector_pieces.borders(cut, dtype))
        encoded = arrays.encode(vector, {}, borders=vector_pieces.borders(cut, dtype))
    assert b"".join(piece for pieces in found for piece in pieces) == vector.tobytes()
    assert all(len(piece) for pieces in found for piece in pieces)
    [length] = encoded.document["chunk_grid"]["configuration"]["chunk_shape"]
    assert all(sum(map(len, pieces)) <= length * vector.itemsize for pieces in found)
    for pieces, chunk_file in zip(found, encoded.chunks, strict=True):
        assert [bytes(p) for p in pieces] == [b"".join(part) for part in chunk_file][: len(pieces)]


def told(pieces, blob=""):
    at = np.cumsum([0, *map(len, pieces)]).tolist()
    return [
        VectorPiece(len(p), hashlib.sha256(p).hexdigest(), vector_pieces.sample(p), blob, at[n])
        for n, p in enumerate(pieces)
    ]


def parts(*contents):
    return [memoryview(bytes(content)) for content in contents]


def test_what_has_not_changed_is_found():
    before = told(parts(b"a" * 5000, b"b" * 4000, b"c" * 9))
    now = parts(b"a" * 5000, b"b" * 3999 + b"x", b"c" * 9)
    assert vector_pieces.unchanged(now, before) == {0: before[0], 2: before[2]}


def test_a_change_that_the_sample_does_not_see_is_found_by_the_sum():
    old, new = bytearray(10_000), bytearray(10_000)
    new[1] = 1
    assert vector_pieces.sample(memoryview(old)) == vector_pieces.sample(memoryview(new))
    assert vector_pieces.unchanged([memoryview(new)], told([memoryview(old)])) == {}


def test_other_lengths_are_another_layout():
    assert vector_pieces.unchanged(parts(b"ab", b"c"), told(parts(b"a", b"bc"))) == {}
    assert vector_pieces.unchanged(parts(b"ab"), []) == {}


def test_blobs_of_which_less_than_half_is_used_are_left():
    reused = {
        0: VectorPiece(50, "", 0, "half", 0),
        1: VectorPiece(49, "", 0, "less", 0),
        2: VectorPiece(1, "", 0, "bad", 0),
    }
    sizes = {"half": 100, "less": 100, "bad": None}
    assert vector_pieces.worthwhile(reused, sizes.get) == {0: reused[0]}


@given(st.data())
def test_pieces_come_together_again_from_whatever_blobs(data):
    sizes = data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=8))
    whole = np.random.default_rng(0).integers(0, 256, sum(sizes), np.uint8)
    ends = np.cumsum(sizes)
    owners = [data.draw(st.sampled_from(["", "one", "two"])) for _ in sizes]
    blobs = {"": [], "one": [], "two": []}
    pieces = []
    for size, end, owner in zip(sizes, ends, owners, strict=True):
        at = sum(map(len, blobs[owner]))
        if owner == "two":  # a blob of the whole vector, of which some pieces are used
            pieces.append(VectorPiece(size, "", 0, owner, int(end) - size))
        else:
            blobs[owner].append(whole[end - size : end])
            pieces.append(VectorPiece(size, "", 0, owner, at))
    full = whole.copy()
    for size, end, owner in zip(sizes, ends, owners, strict=True):
        full[end - size : end] += np.uint8(owner != "two")
    held = {name: np.concatenate([*rows, np.empty(0, np.uint8)]) for name, rows in blobs.items()}
    held["two"] = full
    assert vector_pieces.joined(pieces, lambda blob: held[blob].copy()).tobytes() == whole.tobytes()
