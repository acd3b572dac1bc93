"""Kernels of a dense layer against numpy and ``torch.optim.SGD``."""

import numba
import numpy as np
import pytest
import torch

from aeros_torch.kernels import dense_layer


@numba.njit
def there_and_back(given, matrix, bias, made, down, slope):
    dense_layer.affine(given, matrix, bias, made)
    dense_layer.back(down, matrix, slope)


@numba.njit
def apply_plainly(down, given, matrix, bias, lr):
    dense_layer.apply_plainly(down, given, matrix, bias, lr)


@numba.njit
def apply(down, given, weights, velocity, start, drift, rule, first):
    dense_layer.apply(down, given, weights, velocity, start, drift, rule, first)


def layer(count, inputs, outputs):
    """Return inputs, weights, biases and the gradient to what is made."""
    rng = np.random.default_rng(count)
    shapes = ((count, inputs), (outputs, inputs), (outputs,), (count, outputs))
    return [rng.standard_normal(shape, np.float32) for shape in shapes]


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 9, 5), (6, 8, 2), (7, 19, 3)], ids=str)
def test_there_and_back(shape):
    given, matrix, bias, down = layer(*shape)
    made, slope = np.empty_like(down), np.full_like(given, 3)
    there_and_back(given, matrix, bias, made, down, slope)
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(made, given @ matrix.T + bias, **close)
    np.testing.assert_allclose(slope, 3 * (down @ matrix), **close)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 9, 5), (7, 19, 3)], ids=str)
def test_plain_step(shape):
    given, matrix, bias, down = layer(*shape)
    expected = matrix - 0.1 * down.T @ given, bias - 0.1 * down.sum(0)
    apply_plainly(down, given, matrix, bias, 0.1)
    np.testing.assert_allclose(matrix, expected[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(bias, expected[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("drifts", [False, True])
@pytest.mark.parametrize(
    "options",
    [{"momentum": 0.9, "dampening": 0.3}, {"momentum": 0.5, "nesterov": True}, {}],
    ids=str,
)
def test_steps_of_sgd(options, drifts):
    """Two steps with weight decay and a pull to where they began."""
    given, matrix, bias, down = layer(3, 9, 5)
    weights = np.concatenate([matrix.reshape(-1), bias])
    start, size = weights * 0.5, len(weights)
    drift = np.full(size if drifts else 0, 0.25, np.float32)
    parameter = torch.nn.Parameter(torch.from_numpy(weights.copy()))
    optimizer = torch.optim.SGD([parameter], lr=0.1, weight_decay=0.2, **options)
    momentum, dampening = options.get("momentum", 0.0), options.get("dampening", 0.0)
    rule = (0.1, momentum, dampening, options.get("nesterov", False), 0.2, 0.7)
    velocity, flat = np.zeros(size, np.float32), weights
    gradient = np.concatenate([(down.T @ given).reshape(-1), down.sum(0)])
    for step in range(2):
        pull = 0.7 * (parameter.detach().numpy() - start)
        parameter.grad = torch.from_numpy(gradient + pull + (0.25 if drifts else 0.0)).float()
        optimizer.step()
        apply(down, given, flat, velocity, start, drift, rule, step == 0)
    np.testing.assert_allclose(flat, parameter.detach().numpy(), rtol=1e-4, atol=1e-5)
