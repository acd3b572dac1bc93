from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from aeros_core.errors import DataError
from aeros_transforms.sources.formats import idx

CODES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
PATH = Path("some/file-idx3-ubyte")


def packed(array, code):
    """Write the format as its description has it, independently of the reader."""
    header = bytes([0, 0, code, array.ndim])
    lengths = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + lengths + array.astype(CODES[code]).tobytes()


@given(st.data())
def test_reads_what_was_written(data):
    code = data.draw(st.sampled_from(sorted(CODES)))
    shape = data.draw(array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
    array = data.draw(arrays(CODES[code], shape))
    found = idx.parse(packed(array, code), PATH)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@given(st.data())
def test_a_damaged_file_is_an_error_or_whole(data):
    array = np.arange(24, dtype=">u1").reshape(2, 3, 4)
    whole = packed(array, 8)
    place = data.draw(st.integers(0, len(whole) - 1))
    for broken in (whole[:place], whole + whole[: place + 1]):
        with pytest.raises(DataError, match=r"^some/file-idx3-ubyte is "):
            idx.parse(broken, PATH)


@given(st.binary(max_size=64))
def test_any_bytes_are_an_array_or_an_error(data):
    try:
        array = idx.parse(data, PATH)
    except DataError:
        return
    assert packed(array, data[2]) == data
    assert array.size == prod(array.shape)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "some/file-idx3-ubyte is not an idx file: it starts with nothing"),
        (b"\x89PNG....", "some/file-idx3-ubyte is not an idx file: it starts with 89 50 4e 47"),
        (b"\0\0\x07\x01", "some/file-idx3-ubyte is not an idx file: it starts with 00 00 07 01"),
        (
            b"\0\0\x08\x03\0\0",
            "some/file-idx3-ubyte is damaged: it ends within its header of 16 bytes",
        ),
        (
            b"\0\0\x08\x02\0\0\0\x02\0\0\0\x03.....",
            "some/file-idx3-ubyte is damaged: its header says 2 x 3 values in 6 bytes,"
            " and 5 bytes follow",
        ),
    ],
)
def test_messages(data, text):
    with pytest.raises(DataError) as caught:
        idx.parse(data, PATH)
    assert caught.value.asked == text
