"""Tiles of dense layers against numpy's products, on either side of a vector's length."""

import numba
import numpy as np
import pytest

from aeros_torch.kernels.gemm_tiles import accumulate, dots


def caller(tile):
    """Return a function of Python that calls a tile."""
    return numba.njit(lambda arguments: tile(*arguments))


@pytest.fixture(scope="module")
def made():
    return caller(dots(2, 3)), caller(accumulate(2, 3))


@pytest.mark.parametrize("length", [1, 7, 8, 21])
def test_dots(made, length):
    rng = np.random.default_rng(length)
    a, b = (
        rng.standard_normal((2, length), np.float32),
        rng.standard_normal((3, length), np.float32),
    )
    out = np.empty((2, 3), np.float32)
    step = a.strides[0]
    made[0]((out.ctypes.data, a.ctypes.data, step, b.ctypes.data, step, length))
    np.testing.assert_allclose(out, a @ b.T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [1, 7, 8, 21])
def test_accumulate(made, length):
    rng = np.random.default_rng(length)
    x, c = rng.standard_normal((3, length), np.float32), rng.standard_normal((2, 3), np.float32)
    out = rng.standard_normal((2, length), np.float32)
    expected, step = out + c @ x, x.strides[0]
    of = (c.ctypes.data, c.strides[0], c.strides[1])
    made[1]((out.ctypes.data, step, x.ctypes.data, step, *of, length))
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


def test_one_row_may_stand_for_several(made):
    a, b = np.ones((1, 9), np.float32), np.full((1, 9), 2, np.float32)
    out = np.empty((2, 3), np.float32)
    made[0]((out.ctypes.data, a.ctypes.data, 0, b.ctypes.data, 0, 9))
    assert (out == 18).all()
