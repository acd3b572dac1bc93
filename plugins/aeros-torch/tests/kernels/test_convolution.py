"""A convolution of one image, and its gradients, against torch's."""

import numba
import numpy as np
import pytest
import torch
from torch.nn import functional

from aeros_torch.engines.compiled.architecture import Convolutions
from aeros_torch.engines.compiled.convolution_plan import COLUMNS, plan
from aeros_torch.kernels import convolution
from aeros_torch.kernels.gemm_panels import ROWS


@numba.njit
def convolve(image, weights, bias, down, tables, side, shape, rooms):
    """Return what is made, the gradient to weights, and that to the image."""
    outputs, inputs, wide, step, high, broad, width = shape
    packed, turned = np.zeros(rooms[3], np.float32), np.zeros(rooms[4], np.float32)
    both = (outputs, inputs, wide, step)
    convolution.pack(weights, packed, side, both)
    convolution.pack_turned(weights, turned, side, both)
    made, back = np.empty(rooms[7], np.float32), np.empty(rooms[7], np.float32)
    line, below = (broad + side - 1) * step, (width + side - 1) * wide
    convolution.slide(image, tables[0], packed, bias, made, side, (line, step, wide))
    convolution.slide(
        down, tables[1], turned, np.zeros(step, np.float32), back, side, (below, wide, step)
    )
    summed, gradient = np.zeros(rooms[5], np.float32), np.empty(len(weights), np.float32)
    within = down[((side - 1) // 2 + (side - 1) % 2) * (below + wide) :]
    pixels = (tables[0], tables[2])
    convolution.gradients(image, within, summed, pixels, high * broad, side, (line, step, wide))
    convolution.unpack(summed, gradient, side, both)
    return made, gradient, back


def bordered(image, side, before):
    """Return a (1, channels, height, width) image with its border, channels last and flat."""
    after = side - 1 - before
    wider = functional.pad(image, (before, after, before, after))
    flat = wider[0].permute(1, 2, 0).reshape(-1).numpy()
    return np.concatenate([flat, np.full(ROWS, np.nan, np.float32)])


@pytest.mark.parametrize(("inputs", "outputs", "side"), [(8, 8, 3), (16, 24, 5), (8, 40, 2)])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_forth_and_back(inputs, outputs, side):
    torch.manual_seed(side)
    x = torch.randn(1, inputs, 6, 7, requires_grad=True)
    weights = torch.randn(outputs, inputs, side, side, requires_grad=True)
    bias, gradient = torch.randn(outputs), torch.randn(1, outputs, 6, 7)
    y = functional.conv2d(x, weights, bias, padding="same")
    y.backward(gradient)
    made = plan(Convolutions((inputs, 6, 7), (outputs,), side, same=True))
    its = dict(zip(COLUMNS, made.layers[0].tolist(), strict=True))
    before = its["before"]
    flat = convolve(
        bordered(x.detach(), side, before),
        weights.detach().reshape(-1).numpy(),
        bias.numpy(),
        bordered(gradient, side, side - 1 - before),
        tuple(made.tables[its[a] :][: its[b] - its[a] if b else None] for a, b in TABLES),
        side,
        (outputs, inputs, outputs, inputs, 6, 7, 7),
        made.rooms,
    )
    count = 6 * 7
    close = {"rtol": 1e-4, "atol": 1e-4}
    expected = y.detach()[0].permute(1, 2, 0).reshape(-1)
    np.testing.assert_allclose(flat[0][: count * outputs], expected, **close)
    np.testing.assert_allclose(flat[1], weights.grad.reshape(-1), **close)
    expected = x.grad[0].permute(1, 2, 0).reshape(-1)
    np.testing.assert_allclose(flat[2][: count * inputs], expected, **close)


TABLES = (("forth", "back"), ("back", "within"), ("within", ""))
