"""aeros-onnx: models as ONNX, and an inferencer on onnxruntime.

Importing this module imports neither onnx nor onnxruntime. Begin with `aeros_onnx.inferencer` and
`aeros_onnx.graph`; files come in through `aeros_onnx.validation`.

Export of one framework's layers does not belong here; its plugin brings it, as aeros-torch does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from aeros_core import Format, hookimpl

__all__ = ["Onnx", "Quantise", "aeros_formats", "aeros_inferencers"]


class Quantise(Enum):
    """Numbers that products are computed with."""

    none = "none"
    int8 = "int8"


@dataclass
class Onnx:
    """``inferencer=onnx``: answers through onnxruntime.

    Takes models that were imported from ONNX or from an estimator, parts of a split model,
    and every model that an installed plugin can write as ONNX.

    Args:
        device: auto (CUDA where onnxruntime has it and there is one), cpu, cuda or
            cuda:<number>.
        threads: Threads within one operator, at least 1.
        batch_size: Rows that are computed at once, at least 1.
        quantise: int8 keeps the weights of matrix products in 8 bits, and quantises their
            inputs batch by batch: answers then depend a little on what else is in a batch.
    """

    _target_: str = "aeros_onnx.inferencer.OnnxInferencer"
    device: str = "auto"
    threads: int = 1
    batch_size: int = 512
    quantise: Quantise = Quantise.none


@hookimpl
def aeros_inferencers() -> dict[str, type]:
    """Offer ``inferencer=onnx``."""
    return {"onnx": Onnx}


@hookimpl
def aeros_formats() -> list[Format]:
    """Offer ONNX files."""
    return [Format("onnx", "aeros_onnx.file_format", suffixes=(".onnx",))]
