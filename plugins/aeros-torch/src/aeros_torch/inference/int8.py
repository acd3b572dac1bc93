"""Dense layers in 8 bits: weights by channel, inputs by batch, sums in 32 bits.

oneDNN's products of integers are called as torch's own compiler calls them; quantised
tensors, and the modules of ``torch.ao`` that make them, are on their way out of torch.
Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", section 2.1, is the scheme.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aeros_core.errors import ConfigError

__all__ = ["DenseInt8", "quantise"]

_STEPS = 127
"""Inputs take 7 bits: pairs of products then fit 16 bits where the processor adds them so."""

_SMALLEST = 1e-12


class DenseInt8(nn.Module):
    """A dense layer whose product is one of integers.

    Args:
        layer: The layer in float32, whose bias is shared.
    """

    def __init__(self, layer: nn.Linear):
        super().__init__()
        weight = layer.weight.detach()
        scale = (weight.abs().amax(1) / 127).clamp_min(_SMALLEST)
        rounded = (weight / scale[:, None]).round().to(torch.int8)
        self.scale, self.bias = scale, layer.bias
        self.zero = torch.zeros(len(scale), dtype=torch.int32)
        self.packed: Tensor = torch.ops.onednn.qlinear_prepack(rounded, None)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs) to (n, outputs); the rows of a batch share a scale."""
        if not len(x):
            return x.new_empty((0, len(self.scale)))
        low, high = torch.aminmax(x)
        low, high = low.clamp_max(0.0), high.clamp_min(0.0)
        scale = ((high - low) / _STEPS).clamp_min(_SMALLEST)
        zero = (-low / scale).round()
        codes = (x / scale + zero).round_().clamp_(0, _STEPS).to(torch.uint8)
        out: Tensor = torch.ops.onednn.qlinear_pointwise(
            codes, scale, zero.to(torch.int32), self.packed, self.scale, self.zero, self.bias,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return out


def quantise(module: nn.Module, device: torch.device) -> nn.Module:
    """Return a module whose dense layers are those of 8 bits; changes it.

    Raises:
        ConfigError: It has no dense layer, or this processor cannot.
    """
    if device.type != "cpu" or not hasattr(torch.ops.onednn, "qlinear_prepack"):
        raise ConfigError(
            f"inferencer.quantise=int8 is not possible on {device.type} here",
            provider=f"torch {torch.__version__}",
            hint="inferencer.device=cpu, or inferencer=onnx",
        )
    dense = [
        (parent, name, layer)
        for parent in module.modules()
        for name, layer in parent.named_children()
        if type(layer) is nn.Linear
    ]
    if not dense:
        raise ConfigError(
            f"{type(module).__name__} has no dense layer to compute in 8 bits",
            hint="inferencer.quantise=none",
        )
    for parent, name, layer in dense:
        setattr(parent, name, DenseInt8(layer))
    return module
