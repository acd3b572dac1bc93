"""Max pooling of kernels against torch's."""

import numba
import numpy as np
import pytest
import torch
from torch.nn import functional

from aeros_torch.kernels import pooling


@numba.njit
def pool(keys, size, made, winners):
    pooling.pool(keys, size, made, winners)


@numba.njit
def regain(given, size, made, winners):
    pooling.regain(given, size, made, winners)


@numba.njit
def spread(back, slopes, winners, size, down, line, bias):
    pooling.spread(back, slopes, winners, size, down, line, bias)


@pytest.mark.parametrize("size", [(6, 4, 3), (5, 7, 8), (1, 1, 1), (2, 3, 17)], ids=str)
def test_as_torch_with_ties_and_nan(size):
    height, width, channels = size
    rng = np.random.default_rng(7)
    image = np.round(rng.standard_normal(size), 0).astype(np.float32)
    if size[0] > 1:
        image[0, 0, 0] = np.nan
    x = torch.from_numpy(image).permute(2, 0, 1)[None].requires_grad_()
    y = functional.max_pool2d(x, 2, ceil_mode=True)
    squares = y.shape[2] * y.shape[3]
    made, winners = np.empty(squares * channels, np.float32), np.empty(squares * channels, np.int32)
    pool(image.reshape(-1), size, made, winners)
    expected = y[0].permute(1, 2, 0).detach().numpy()
    np.testing.assert_array_equal(made.reshape(expected.shape), expected)

    gradient = rng.standard_normal(expected.shape).astype(np.float32)
    y.backward(torch.from_numpy(gradient).permute(2, 0, 1)[None])
    line = (width + 2) * channels
    down, bias = np.full((height, line), 9, np.float32), np.zeros(channels, np.float32)
    back, slopes = gradient.reshape(-1).copy(), np.full(squares * channels, 2, np.float32)
    spread(back, slopes, winners, size, down.reshape(-1), line, bias)
    inside = down[:, : width * channels].reshape(size)
    np.testing.assert_array_equal(inside, 2 * x.grad[0].permute(1, 2, 0).numpy())
    np.testing.assert_allclose(bias, 2 * gradient.sum((0, 1)), rtol=1e-5, atol=1e-5)
    assert (down[:, width * channels :] == 9).all()


def test_what_keys_stand_for_is_regained():
    size = (3, 4, 2)
    given = np.arange(24, dtype=np.float32)
    made, winners = np.empty(8, np.float32), np.empty(8, np.int32)
    pool(-given, size, made, winners)
    regain(given, size, made, winners)
    np.testing.assert_array_equal(made, -functional_max(-given.reshape(size)))


def functional_max(image):
    channels_first = torch.from_numpy(image).permute(2, 0, 1)[None]
    pooled = functional.max_pool2d(channels_first, 2, ceil_mode=True)[0]
    return pooled.permute(1, 2, 0).reshape(-1).numpy()
