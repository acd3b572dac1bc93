"""aeros-torch: trainer, models and inferencer on PyTorch.

Importing this module imports no torch; see `aeros_torch.config` for the options.
"""

from __future__ import annotations

from typing import Any

from aeros_core import hookimpl
from aeros_torch import config

__all__ = ["aeros_inferencers", "aeros_models", "aeros_trainers"]


@hookimpl
def aeros_trainers() -> dict[str, type[Any]]:
    """Offer ``trainer=torch``."""
    return {"torch": config.TorchTrainer}


@hookimpl
def aeros_inferencers() -> dict[str, type[Any]]:
    """Offer ``inferencer=torch``."""
    return {"torch": config.TorchInferencer}


@hookimpl
def aeros_models() -> dict[str, type[Any]]:
    """Offer the modules of ``trainer/model``."""
    return {
        "softmax": config.Softmax,
        "mlp": config.Mlp,
        "cnn": config.Cnn,
        "lenet": config.Lenet,
        "lstm": config.Lstm,
        "early_exit": config.EarlyExit,
    }
