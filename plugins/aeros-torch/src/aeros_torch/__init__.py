"""aeros-torch: trainer, models and inferencer on PyTorch.

Importing this module imports no torch; see `aeros_torch.config` for the options. Begin with
`aeros_torch.trainer`; the way a client trains is in `aeros_torch.engines`.

Aggregation does not belong here; it lives in the plugin aeros-aggregators.
"""

from __future__ import annotations

from typing import Any

from aeros_core import Format, OnnxExporter, hookimpl
from aeros_torch import config

__all__ = [
    "aeros_formats",
    "aeros_inferencers",
    "aeros_models",
    "aeros_onnx_exporters",
    "aeros_trainers",
]


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


@hookimpl
def aeros_formats() -> list[Format]:
    """Offer files that ``torch.save`` writes of a ``state_dict``."""
    return [Format("state_dict", "aeros_torch.export.state_dict", suffixes=(".pt", ".pth"))]


@hookimpl
def aeros_onnx_exporters() -> list[OnnxExporter]:
    """Offer to write the modules of ``trainer/model`` as ONNX."""
    return [OnnxExporter("torch", "aeros_torch.export.onnx:graph")]
