"""Frames are those of the library that unpacks them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_zarr.format.zstd_header import unpacked

numcodecs = pytest.importorskip("numcodecs")


def frame(data, level=1, *, checksum=False):
    return bytes(numcodecs.Zstd(level=level, checksum=checksum).encode(data))


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("level", [1, 9])
@pytest.mark.parametrize("kind", ["zeros", "text", "noise"])
@pytest.mark.parametrize("size", [1, 255, 256, 257, 65535, 65791, 65792, 300_000])
def test_the_bytes_that_a_frame_unpacks_to(size, kind, level, checksum):
    highest = {"zeros": 1, "text": 4, "noise": 256}[kind]
    data = np.random.default_rng(0).integers(0, highest, size).astype(np.uint8).tobytes()
    made = frame(data, level, checksum=checksum)
    assert unpacked(made) == size == len(numcodecs.Zstd().decode(made))


def test_more_and_less_than_a_frame_says_nothing():
    made = frame(b"aeros" * 1000)
    for data in (b"", made[:-1], made[:7], made + b"x", made + made, b"x" + made):
        assert unpacked(data) is None


@given(st.binary(max_size=40), st.booleans())
def test_whatever_it_is_an_answer_comes(data, begun):
    said = unpacked(frame(b"1")[:4] + data if begun else data)
    assert said is None or said >= 0
