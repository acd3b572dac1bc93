import numpy as np
import pytest
import torch
from torch import nn

from aeros_core.errors import ConfigError
from aeros_torch.inference.int8 import DenseInt8, quantise

CPU = torch.device("cpu")


def rounded(x, steps, low, high):
    """Return what is left of numbers that are rounded to steps of a range."""
    scale = (high - low) / steps
    zero = np.round(-low / scale)
    return (np.clip(np.round(x / scale + zero), 0, steps) - zero) * scale


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shift", [0.0, 5.0, -5.0])
def test_a_layer_computes_with_rounded_numbers(bias, shift):
    """Jacob et al. 2018, equation 1, in float64: r = S (q - Z)."""
    layer = nn.Linear(37, 11, bias=bias)
    x = torch.randn(19, 37) + shift
    got = DenseInt8(layer)(x).detach().numpy()
    w = layer.weight.detach().numpy().astype(np.float64)
    scale = np.abs(w).max(1, keepdims=True) / 127
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    expected = (
        rounded(x.numpy().astype(np.float64), 127, low, high) @ (np.round(w / scale) * scale).T
    )
    expected += layer.bias.detach().numpy() if bias else 0
    np.testing.assert_allclose(got, expected, atol=np.abs(expected).max() * 0.004)
    exact = layer(x).detach().numpy()
    assert np.abs(got - exact).max() < 0.03 * np.abs(exact).max()


def test_sums_do_not_overflow():
    """Every product is the greatest there is; pairs of them would not fit 16 bits of 8 and 8."""
    layer = nn.Linear(512, 3)
    nn.init.constant_(layer.weight, 1.0)
    nn.init.zeros_(layer.bias)
    got = DenseInt8(layer)(torch.full((4, 512), 2.0))
    torch.testing.assert_close(got, torch.full((4, 3), 1024.0))


def test_zeros_and_no_rows_are_answered():
    layer = nn.Linear(5, 3)
    quantised = DenseInt8(layer)
    torch.testing.assert_close(quantised(torch.zeros(2, 5)), layer.bias.detach().expand(2, 3))
    assert quantised(torch.zeros(0, 5)).shape == (0, 3)


def test_every_dense_layer_is_replaced_and_no_other():
    module = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Sequential(nn.Linear(4, 3)), nn.Linear(3, 2))
    kinds = [type(part).__name__ for part in quantise(module, CPU).modules()]
    assert kinds == ["Sequential", "Conv1d", "Sequential", "DenseInt8", "DenseInt8"]


def test_a_module_without_dense_layers():
    with pytest.raises(ConfigError, match="Sequential has no dense layer to compute in 8 bits"):
        quantise(nn.Sequential(nn.Conv1d(1, 2, 3)), CPU)


def test_another_device():
    with pytest.raises(ConfigError, match="int8 is not possible on cuda here"):
        quantise(nn.Sequential(nn.Linear(2, 2)), torch.device("cuda"))
