"""Tiles of products against numpy's."""

import numba
import numpy as np
import pytest

from aeros_torch.kernels.gemm_panels import LANES, outer, panel


def caller(tile):
    """Return a function of Python that calls a tile."""
    return numba.njit(lambda arguments: tile(*arguments))


def address(array):
    return array.ctypes.data


@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (5, 2)])
def test_panel_multiplies_rows_that_lie_anywhere(rows, vectors):
    rng = np.random.default_rng(rows)
    width, runs, length = LANES * vectors, 3, 7
    a = rng.standard_normal((9, runs, 11), np.float32)
    b = rng.standard_normal((runs, length, width), np.float32)
    bias, made = rng.standard_normal(width, np.float32), np.zeros((rows, width + 3), np.float32)
    chosen = rng.permutation(9)[:rows]
    table = chosen * a.strides[0]
    steps = (a.strides[1], 4, b.strides[0], b.strides[1])
    to = (address(made), made.strides[0], address(bias), 0)
    caller(panel(rows, vectors))(
        (*to, address(a), address(table), address(b), runs, length, *steps)
    )
    expected = np.einsum("rok,okw->rw", a[chosen][:, :, :length], b) + bias
    np.testing.assert_allclose(made[:, :width], expected, rtol=1e-5, atol=1e-5)
    assert not made[:, width:].any()


@pytest.mark.parametrize(("rows", "vectors"), [(2, 1), (6, 2)])
def test_outer_adds_products_over_pixels(rows, vectors):
    rng = np.random.default_rng(rows)
    width, count = LANES * vectors, 13
    a = rng.standard_normal((20, rows + 1), np.float32)
    b = rng.standard_normal((20, width), np.float32)
    made = rng.standard_normal((rows, width), np.float32)
    left, right = rng.permutation(20)[:count], rng.permutation(20)[:count]
    expected = made + a[left, :rows].T @ b[right]
    tables = left * a.strides[0], right * b.strides[0]
    caller(outer(rows, vectors))(
        (
            *(address(made), made.strides[0], address(a), address(tables[0])),
            *(address(b), address(tables[1]), count),
        )
    )
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-5)
