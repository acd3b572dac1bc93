"""Activations, losses and measures of kernels against torch's."""

import numba
import numpy as np
import pytest
import torch
from torch.nn import functional

from aeros_torch.config import Activation
from aeros_torch.kernels import pointwise
from aeros_torch.modules import models


@numba.njit
def activate(values, slopes, activation):
    pointwise.activate(values, slopes, activation)


@numba.njit
def losses(scores, labels, answers, values, rows, sums):
    right = pointwise.right(scores, labels, rows)
    pointwise.errors(answers, values, rows, sums)
    lost = pointwise.cross_entropy(scores, labels, rows)
    return right, lost, pointwise.mean_square(answers, values, rows)


@pytest.mark.parametrize("name", pointwise.ACTIVATIONS)
def test_activations(name):
    x = torch.linspace(-12, 12, 401).reshape(1, -1).requires_grad_()
    expected = models.ACTIVATIONS[Activation(name)]()(x)
    expected.sum().backward()
    values, slopes = x.detach().numpy().copy(), np.empty((1, 401), np.float32)
    activate(values, slopes, pointwise.ACTIVATIONS.index(name))
    np.testing.assert_allclose(values, expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(slopes, x.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_relu_lets_nan_through():
    values, slopes = np.array([[np.nan, -1, 2]], np.float32), np.empty((1, 3), np.float32)
    activate(values, slopes, 0)
    np.testing.assert_array_equal(values, [[np.nan, 0, 2]])


def test_losses_and_measures():
    rng = np.random.default_rng(5)
    rows = rng.permutation(20)[:7]
    labels, values = rng.integers(0, 4, 20), rng.standard_normal((20, 3), np.float32)
    scores = torch.from_numpy(9 * rng.standard_normal((7, 4), np.float32)).requires_grad_()
    answers = torch.from_numpy(rng.standard_normal((7, 3), np.float32)).requires_grad_()
    wanted, near = torch.from_numpy(labels[rows]), torch.from_numpy(values[rows])
    entropy, square = functional.cross_entropy(scores, wanted), functional.mse_loss(answers, near)
    (entropy + square).backward()
    given, told, sums = scores.detach().numpy().copy(), answers.detach().numpy().copy(), np.zeros(3)
    right, lost, meant = losses(given, labels, told, values, rows, sums)
    assert right == int((scores.argmax(1) == wanted).sum())
    assert (lost, meant) == pytest.approx((entropy.item(), square.item()), rel=1e-5)
    np.testing.assert_allclose(given, scores.grad.numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(told, answers.grad.numpy(), rtol=1e-4, atol=1e-6)
    assert sums[1] == pytest.approx(functional.l1_loss(answers, near).item() * 7, rel=1e-5)
    assert sums[2] == pytest.approx(square.item() * 7, rel=1e-5)
