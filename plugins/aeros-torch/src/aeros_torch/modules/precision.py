"""In which floating-point format a module computes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from aeros_torch.config import Precision

__all__ = ["computing"]


def computing(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Compute losses in a format; weights, gradients and steps stay float32.

    With bfloat16 torch's autocast decides operator by operator. What it casts is not kept:
    weights change in place between two steps.
    """
    if precision is Precision.float32:
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)
